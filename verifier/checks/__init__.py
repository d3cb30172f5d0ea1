"""The checks. Each module answers one question about an object and its evidence, without tables or keys."""
