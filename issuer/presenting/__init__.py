"""Live codes that a holder shows."""
