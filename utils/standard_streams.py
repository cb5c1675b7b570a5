"""Standard streams that never end the work: closed, unread, full or gone with their terminal.

Results and documents do not depend on what is printed, so output that cannot be written is dropped.
"""

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, TextIO

_READER_WAIT_MS = 5_000
"""Most milliseconds to wait for the reader of a pipe that does not block; then the output is dropped."""


_STDERR = 2
_CAPTURED_BYTES = 1 << 16
_captured: int | None = None
"""The end of the pipe to read from; None before ``capture_library_output``."""


class _LossyFile(io.FileIO):
    """A file descriptor whose output is dropped if it cannot be written."""

    error: OSError | None = None
    """Why output was dropped the last time; None if all was written."""

    def write(self, data: Any, /) -> int:
        """Write ``data``; return how many bytes were written or dropped."""
        try:
            written = super().write(data) or self._write_when_ready(data)
        except OSError as error:
            self.error = error
            return memoryview(data).nbytes
        return written

    def _write_when_ready(self, data: Any) -> int:
        """Write to a full pipe that does not block, which another program may have set so."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        poll.poll(_READER_WAIT_MS)
        written = super().write(data)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return written


def protect_standard_streams() -> None:
    """Make stdin, stdout and stderr exist, and replace stdout and stderr by streams that never raise.

    A missing one is ``/dev/null``: otherwise the next file that is opened would get its descriptor, and
    whatever is printed would be written into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the kernel gives the lowest descriptor that is free
    sys.stdout = _protect(sys.stdout, descriptor=1)
    sys.stderr = _protect(sys.stderr, descriptor=_duplicate(2))


def capture_library_output() -> None:
    """Lead what libraries in C write to stderr into a pipe; what is too much for it is dropped.

    The program's own stream goes on to the terminal, if ``protect_standard_streams`` was called.
    """
    global _captured  # noqa: PLW0603 - there is one descriptor 2
    raw = getattr(getattr(sys.stderr, "buffer", None), "raw", None)
    if _captured is not None or not isinstance(raw, _LossyFile) or raw.fileno() == _STDERR:
        return
    with suppress(OSError):
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        os.dup2(writing, _STDERR)
        os.close(writing)
        _captured = reading


def read_library_output() -> str:
    """Return what libraries wrote since the last call; it may be about any image that is worked on."""
    if _captured is None:
        return ""
    try:
        return os.read(_captured, _CAPTURED_BYTES).decode("utf-8", "backslashreplace")
    except OSError:
        return ""


def _duplicate(descriptor: int) -> int:
    """Return another descriptor of the same file; the same one if there is none left."""
    try:
        return os.dup(descriptor)
    except OSError:
        return descriptor


def output_error() -> OSError | None:
    """Return why output to stdout was dropped; None if nothing was, or if its reader went away."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, _LossyFile) else None
    return None if error is None or error.errno == errno.EPIPE else error


def _protect(stream: TextIO | None, *, descriptor: int) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper | None):  # another program's, which runs the interpreter
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_LossyFile(descriptor, "w", closefd=False)),
        encoding=stream.encoding if stream else "utf-8",
        errors="backslashreplace",  # the terminal's encoding may lack a character of a file's name
        line_buffering=stream is None or stream.line_buffering,
        write_through=stream is not None and stream.write_through,
    )
