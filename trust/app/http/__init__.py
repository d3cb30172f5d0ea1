"""HTTP: the API under /api/v1, published lists, the ledger's files, and what operators ask."""
