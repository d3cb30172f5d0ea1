"""What is known: lists, statuses, other deployments."""
