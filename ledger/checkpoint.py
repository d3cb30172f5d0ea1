"""Checkpoints: the name, size and root of a log as the text of a signed note (C2SP tlog-checkpoint v1.0.0).

    origin "\\n"
    size in decimal "\\n"
    base64 of the root "\\n"
    further lines "\\n" …                   allowed by the format; we write none

Example, with the signature line of the note (`ledger.note`) below it:

    example.com/log/testdata
    15
    rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=

    — example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=
"""  # noqa: E501 - the example's signature line is one line

from __future__ import annotations

from ledger.checkpointtext import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.note import VerifierKey, check_note
from trust.model.errors import VerificationError

__all__ = ["Checkpoint", "check_checkpoint", "format_checkpoint", "parse_checkpoint"]


def check_checkpoint(note: str, *, log_vkey: VerifierKey) -> Checkpoint:
    """Returns the checkpoint in `note` if the log signed it and it has the log's name.

    The origin must be the key's name, because with a key that signs for two logs one could pass for the other.
    Raises `Malformed` or `VerificationError`.
    """
    checkpoint = parse_checkpoint(check_note(note, vkeys=[log_vkey]).text)
    if checkpoint.origin != log_vkey.name:
        raise VerificationError("The checkpoint is of another log than its key.", code="LOG_ORIGIN_MISMATCH")
    return checkpoint
