"""The evidence that checks use: signed lists, statuses, other deployments."""
