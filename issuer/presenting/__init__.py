"""Presenting (亮证): live codes that a holder shows."""
