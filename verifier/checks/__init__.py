"""Judging: one question each, over an object and the evidence. No table, no key."""
