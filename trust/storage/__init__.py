"""Databases and durable files: SQLite or PostgreSQL behind one `Database`, and the guard that rows are held against."""
