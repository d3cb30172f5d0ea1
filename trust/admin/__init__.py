"""The faces of who may and of what was done, for administrators and operators."""
