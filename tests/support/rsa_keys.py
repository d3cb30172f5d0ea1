"""RSA keys, which take a third of a second each to make: the processes of one run of the tests share them.

Within a process no key comes twice. All are made in this run, and go with its folder.
"""

from __future__ import annotations

import fcntl
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)


@contextmanager
def shared_rsa_keys(folder: Path) -> Iterator[None]:
    """Until the end of the block, this process's nth key of a size is that of every process with this folder."""
    folder.mkdir(exist_ok=True)
    make, numbers = rsa.generate_private_key, itertools.count()

    def shared(public_exponent: int, key_size: int, backend: Any = None) -> rsa.RSAPrivateKey:
        path = folder / f"{key_size}-{public_exponent}-{next(numbers)}"
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            encoded = file.read()
            if not encoded:
                made = make(public_exponent, key_size)
                file.write(made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
                return made
        found = load_der_private_key(encoded, None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(found, rsa.RSAPrivateKey)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rsa, "generate_private_key", shared)
        yield
