"""Small files that a user names: read at once, within a bound of bytes and time, whatever they are.

A pipe may be one that another program fills (``<(command)``, a ``.env`` that a vault serves), so it is given
some seconds; a device or an endless file ends at the bound.
"""

import errno
import os
import select
import stat
from pathlib import Path
from typing import Final

_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_PIECE_BYTES: Final = 1 << 16
_WAIT_MS: Final = 500
_MAX_WAITS: Final = 10
"""Waits for a pipe in all: five seconds."""


def read_small_file(path: Path | str, max_bytes: int) -> bytes:
    """Return the bytes of a file.

    Raises:
        OSError: it cannot be opened or read, holds more than ``max_bytes``, or is a pipe that is not filled.
    """
    descriptor = os.open(path, _READ)
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        data, waits = bytearray(), 0
        while len(data) <= max_bytes:
            if not is_file and not _is_ready(descriptor):
                waits += 1
                if waits == _MAX_WAITS:
                    raise TimeoutError(errno.ETIMEDOUT, "a pipe or device that gives nothing, or no end")
                continue
            piece = _read_piece(descriptor)
            if not piece and piece is not None:
                return bytes(data)
            data += piece or b""
        raise OSError(errno.EFBIG, f"larger than {max_bytes // 1024:,} KB")
    finally:
        os.close(descriptor)


def _is_ready(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(_WAIT_MS))


def _read_piece(descriptor: int) -> bytes | None:
    """Return what is there, empty at the end; None if there is nothing yet."""
    try:
        return os.read(descriptor, _PIECE_BYTES)
    except BlockingIOError:
        return None
