"""The lists of other deployments that this one keeps."""
