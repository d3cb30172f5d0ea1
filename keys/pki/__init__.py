"""X.509 certificates and revocation lists for seals and time-stamps, in SM2 and RSA/EC.

There is one builder for all profiles: asn1crypto encodes, and a `SigningKey` signs, be it SM2 or RSA, in a file or in a
token. The results are DER, which is stored, pinned and compared.

`read` is for every package; `build` needs a private key and is for the issuer only, so nothing is exported here.
"""
