"""Who may: API clients, sessions of browsers, invitations of holders."""
