"""The lists of other deployments."""
