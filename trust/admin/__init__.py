"""Faces for administrators and operators: API keys, sessions and the audit trail."""
