"""SM2 for pyhanko-certvalidator: certificates, CRLs, CMS and time-stamps are all checked through this hook."""

from __future__ import annotations

from typing import Any

from asn1crypto import algos
from asn1crypto import keys as asn1_keys
from cryptography.exceptions import InvalidSignature
from pyhanko_certvalidator.sig_validate import (
    DEFAULT_VALIDATION_CONTEXT,
    DefaultSignatureValidator,
    SignatureValidationContext,
)

from keys import sm2
from keys.sm2.encoding import is_sm2_spki
from trust.model.errors import Malformed


class Sm2AwareValidator(DefaultSignatureValidator):
    """Checks signatures of SM2 keys, with SM3 only; leaves every other key to the library."""

    def validate_signature(
        self,
        signature: bytes,
        signed_data: bytes,
        public_key_info: asn1_keys.PublicKeyInfo,
        signature_algorithm: algos.SignedDigestAlgorithm,
        context: SignatureValidationContext = DEFAULT_VALIDATION_CONTEXT,
    ) -> Any:
        spki = public_key_info.dump()
        if not is_sm2_spki(spki):
            return super().validate_signature(
                signature, signed_data, public_key_info, signature_algorithm, context
            )
        if (
            signature_algorithm["algorithm"].native != "sm3_sm2"
            or context.contextual_md_algorithm not in (None, "sm3")
            or context.prehashed
        ):
            raise InvalidSignature("an SM2 key signs with SM3 only")
        try:
            sm2.load_public_key(spki).check(signed_data, signature)
        except Malformed as exc:
            raise InvalidSignature("not an SM2 public key") from exc
        return None
