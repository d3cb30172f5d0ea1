"""Reading PDF files that others made: the one door through which untrusted PDFs are opened."""
