"""The one storage error that needs a name of its own: it is not known whether the bytes are on the disk."""

from __future__ import annotations

from trust.model.errors import StorageError


class DurabilityUnknown(StorageError):
    """A commit or an fsync failed, so what was written may be there after a power cut, or may not.

    Asking again proves nothing: after a failed fsync the kernel may drop the dirty pages and report success
    the next time. Whoever signs what was written has to stop. Every other `StorageError` means: not stored.
    """
