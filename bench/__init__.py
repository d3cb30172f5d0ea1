"""How fast it is, measured against what others would use for the same work: `python -m bench`."""
