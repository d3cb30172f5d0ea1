"""E-certificates from the record that asks for one to the sealed file."""
