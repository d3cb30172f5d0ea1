"""What all commands share: language, tables, progress, errors, exit codes. Imports no server library."""
