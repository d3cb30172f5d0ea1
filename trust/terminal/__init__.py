"""What every command shares: language, tables, progress, errors, exit codes. No server library."""
