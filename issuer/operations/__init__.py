"""What was decided, and whether it is done; what the ledger says of it."""
