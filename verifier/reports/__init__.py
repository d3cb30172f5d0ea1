"""Reports under their codes."""
