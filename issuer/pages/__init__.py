"""The issuer's pages: a holder's wallet, the register of seals."""
