"""Finding the seals of a licence in its file: the first certifies, and each further one is one update.

As with later versions, an update with a further seal is not searched for errors: it is rebuilt from its parts
(`trust.pdf.further`), and every byte is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from trust.model.errors import Malformed, VerificationError
from trust.model.seal import SealRole
from trust.pdf.further import (
    CONTENTS_HEX_DIGITS,
    FIELD_OF,
    ROLE_OF,
    encode_further_seal,
    read_further_parts,
)
from trust.pdf.gap import SignedGap
from trust.pdf.reading import open_pdf
from trust.pdf.update import Version, dictionary_at, read_version
from verifier.checks.pdf import last_signature, the_one_seal


@dataclass(frozen=True, slots=True)
class SealInPdf:
    """A seal, with the file as it was when that seal was set."""

    role: SealRole
    signature: EmbeddedPdfSignature


def seals_in_pdf(data: bytes, reader: PdfFileReader, gaps: Sequence[SignedGap]) -> list[SealInPdf]:
    """The seals in the order in which they were set; `reader` has read `data`, whose seals lie in `gaps`.

    Raises `VerificationError` (FORMAT_FAILURE, SIG_CONSTRAINTS_FAILURE, HASH_FAILURE).
    """
    if len(gaps) == 1:
        return [SealInPdf(SealRole.LEGAL, the_one_seal(reader, gaps[0]))]
    files = [data[: sum(gap.byte_range[2:])] for gap in gaps]
    readers = [open_pdf(each) for each in files[:-1]] + [reader]
    first = the_one_seal(readers[0], gaps[0], further=len(gaps) - 1)
    found = [SealInPdf(SealRole.LEGAL, first)]
    for n in range(1, len(gaps)):
        signature = last_signature(readers[n], gaps[n])
        role = ROLE_OF.get(signature.field_name)
        if role is None or list(SealRole).index(role) <= list(SealRole).index(found[-1].role):
            raise VerificationError("The seals are not in their order.", code="SIG_CONSTRAINTS_FAILURE")
        _check_update(files[n - 1], readers[n - 1], files[n], gaps[n], role, is_last=n == len(gaps) - 1)
        found.append(SealInPdf(role, signature))
    return found


def _check_update(
    before_data: bytes, reader: PdfFileReader, data: bytes, gap: SignedGap, role: SealRole, *, is_last: bool
) -> None:
    _, start, end, _ = gap.byte_range
    head, tail = data[len(before_data) : start], data[end:]
    try:
        before: Version = read_version(before_data, reader)
        number = before.fields[before.names.index(FIELD_OF[role])]
        field = dictionary_at(before_data, reader, number)
        parts = read_further_parts(head, tail, before, is_shown=role is not SealRole.ABROAD)
        rebuilt = encode_further_seal(before, field, number, parts)
    except (Malformed, ValueError) as exc:
        raise VerificationError("A further seal is not in its form.", code="SIG_CONSTRAINTS_FAILURE") from exc
    if (b"/Action /All" in field) != is_last:
        raise VerificationError("Not the last seal locks the file.", code="SIG_CONSTRAINTS_FAILURE")
    if rebuilt != (head, tail) or end - start != CONTENTS_HEX_DIGITS + 2:
        raise VerificationError("Something was added beside a further seal.", code="HASH_FAILURE")
