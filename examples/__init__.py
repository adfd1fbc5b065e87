"""Short programs that show Rolebook at work. Every one runs as it stands."""
