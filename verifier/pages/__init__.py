"""The verifier's pages."""
