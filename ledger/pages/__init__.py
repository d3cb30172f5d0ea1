"""The ledger as people look at it."""
