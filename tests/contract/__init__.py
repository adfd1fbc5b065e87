"""What every store promises, stated once and tested on each."""
