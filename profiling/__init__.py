"""Real devices: open, run, protect, sweep."""
