"""The sandbox: untrusted files are read by worker processes that have no other rights."""
