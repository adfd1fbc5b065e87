"""Short programs; each runs as it stands: `python -m examples.NAME`."""
