"""Erasing what is known about a person."""
