"""Declaring keys compromised, and sealing affected e-certificates again."""
