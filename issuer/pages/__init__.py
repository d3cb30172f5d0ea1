"""The issuer's pages: a holder's wallet, and the public register of seals."""
