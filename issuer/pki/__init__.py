"""Certification authorities, time-stamp authorities, and certificates from outside."""
