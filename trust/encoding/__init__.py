"""Every byte that is signed, scanned or sent: formats with one encoding each (docs/FORMATS.md)."""
