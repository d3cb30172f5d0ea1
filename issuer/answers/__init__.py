"""The issuer's answers to the verifier's questions about the register (`verifier.ports`)."""
