"""Archiving: later versions of licences with evidence and new time-stamps, provable for decades, and archive
packages."""
