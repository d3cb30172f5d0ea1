"""X.509 of our own: certificates and revocation lists for seals and time-stamps, in SM2 and RSA/EC.

One profile, two builders. RSA and EC are built by `cryptography`; SM2, which that library cannot hold, is
built with asn1crypto and signed through `keys.sm2`. Everything comes out as DER, and DER is what is stored,
pinned and compared.

`read` is for everybody; `build` needs a private key and is the issuer's, so nothing is exported here for both.
"""
