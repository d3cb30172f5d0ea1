"""The storage error for the case that it is not known whether the bytes are on the disk."""

from __future__ import annotations

from trust.model.errors import StorageError


class DurabilityUnknown(StorageError):
    """A commit or an fsync failed, so the data may or may not be there after a power cut.

    Repeating it proves nothing: after a failed fsync the kernel may drop the dirty pages and report success the next
    time. Code that signs the data must stop. Every other `StorageError` means that nothing was stored.
    """
