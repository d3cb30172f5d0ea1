"""Operations: acts that were decided on, done or not, and their results in the ledger."""
