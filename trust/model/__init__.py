"""The words: values, statuses, errors, clock and entropy. Standard library only."""
