"""X.509 of our own: certificates and revocation lists for seals and time-stamps, in SM2 and RSA/EC.

One profile, two builders. RSA and EC are built by `cryptography`; SM2, which that library cannot hold, is
built with asn1crypto and signed through `keys.sm2`. Everything comes out as DER, and DER is what is stored,
pinned and compared.
"""

from keys.pki.build import Profile, RevokedSerial, Subject, make_crl, make_x509_cert
from keys.pki.read import X509Facts, check_issued_by, read_x509_cert

__all__ = [
    "Profile",
    "RevokedSerial",
    "Subject",
    "X509Facts",
    "check_issued_by",
    "make_crl",
    "make_x509_cert",
    "read_x509_cert",
]
