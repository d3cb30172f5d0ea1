"""How long a test waits for another process or thread before it is called hung. A busy machine is no hang."""

HANG_SECONDS = 600
