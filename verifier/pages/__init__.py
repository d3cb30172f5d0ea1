"""The pages on which somebody checks something."""
