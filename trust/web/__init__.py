"""What all HTTP faces share: authentication, bodies and problems, pages, and the queues in front of the readers."""
