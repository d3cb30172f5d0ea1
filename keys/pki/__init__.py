"""X.509 of our own: certificates and revocation lists for seals and time-stamps, in SM2 and RSA/EC.

One profile, one builder: asn1crypto lays out, and whoever has the key signs, be it SM2 or RSA, in a file or in
a token. Everything comes out as DER, and DER is what is stored, pinned and compared.

`read` is for everybody; `build` needs a private key and is the issuer's, so nothing is exported here for both.
"""
