"""Keys that became known, and sealing again what they sealed."""
