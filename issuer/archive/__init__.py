"""Keeping licences provable for decades: later versions with evidence and new time-stamps, and their hand-over."""
