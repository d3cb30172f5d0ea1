"""What the verifier may ask the register: the issuer's side of `verifier.ports`."""
