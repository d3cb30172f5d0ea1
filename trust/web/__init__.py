"""What every face over HTTP shares: who calls, bodies and problems, pages, and the queues in front of the readers."""
