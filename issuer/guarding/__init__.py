"""Guarding the register: rows that were edited from outside are detected and not used."""
