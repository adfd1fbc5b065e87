"""Short programs that show Understudy at work. Every one runs as it stands."""
