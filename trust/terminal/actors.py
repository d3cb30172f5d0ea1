"""Who acts at the command line."""

from __future__ import annotations

import getpass

from trust.model.actor import Actor, operator
from trust.model.people import as_person


def operator_here(name: str | None = None) -> Actor:
    """The operator who runs this command: by the name that was given, or else by the account on this machine.

    Raises `Malformed`.
    """
    if name is not None:
        return operator(as_person(name))
    try:
        return operator(getpass.getuser())
    except (KeyError, OSError):  # an account without a name
        return operator()
