"""Sealing: placing the seal picture, signing the PDF, time-stamping it, and splicing the ledger receipt in."""
