"""Work that a running service does by itself."""
