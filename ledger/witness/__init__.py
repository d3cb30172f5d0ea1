"""Witnesses: independent parties that see every checkpoint of a log, and cosign only one that continues the last.

A log that shows different histories to different people would need both cosigned. `policy` says which witnesses count
and how many must have cosigned, and checks that; `witness` is the server's core; `client` is used by a log to ask its
witnesses. Each module is imported by itself, so that checking needs no database and no HTTP.
"""
