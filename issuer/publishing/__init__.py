"""What the issuer signs for everybody: trust list, status lists, offline bundle."""
