"""Witnesses: others who see every checkpoint of a log, and sign only what continues what they saw before.

A log that shows different histories to different people has to get both past its witnesses. `policy` says
whom to ask and how many must have signed, and checks it; `witness` is the server's core; `client` is how a
log asks. Each is imported by its own name: who only checks needs no database and no HTTP.
"""
