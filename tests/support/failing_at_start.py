"""A job whose module needs something that is not there."""

raise ImportError("a library is missing")
