"""Access control: API clients, sessions of browsers, invitations of holders."""
