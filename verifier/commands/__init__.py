"""The verifier at the command line."""
