"""E-seals: from the application to their last use."""
