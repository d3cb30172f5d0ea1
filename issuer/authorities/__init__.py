"""Issuing authorities, the departments that issue."""
