"""State of the ledger's file, which shows whether it is another one than at the end of the last run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

_TAIL_BYTES = 1 << 16
"""Last bytes that are compared: some hundred answers, each with its time."""


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The ledger's file at one moment, by one ``stat``."""

    path: Path
    size_bytes: int
    mtime_ns: int
    inode: int

    def hash_tail(self, size_bytes: int) -> str:
        """Return the SHA-256 in hex of the last bytes before ``size_bytes``, however long the file is now.

        Raises:
            OSError: the file cannot be read.

        """
        if not self.size_bytes:
            return hashlib.sha256().hexdigest()
        with self.path.open("rb") as handle:
            handle.seek(max(size_bytes - _TAIL_BYTES, 0))
            return hashlib.sha256(handle.read(min(size_bytes, _TAIL_BYTES))).hexdigest()


def read_ledger_state(path: Path) -> LedgerState:
    """Return the state of the file; of an empty one if there is none.

    Raises:
        OSError: the file system does not say.

    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return LedgerState(path, 0, 0, 0)
    return LedgerState(path, status.st_size, status.st_mtime_ns, status.st_ino)
