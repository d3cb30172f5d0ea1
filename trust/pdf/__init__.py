"""Reading PDF files that others made. Untrusted PDFs are opened through this package only."""
