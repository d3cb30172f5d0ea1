"""The issuer at the command line."""
