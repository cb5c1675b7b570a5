"""Standard streams that never end the work: closed, unread, full or gone with their terminal.

Results and documents do not depend on what is printed, so output that cannot be written is dropped.
"""

import errno
import io
import os
import select
import sys
from typing import Any, TextIO

_READER_WAIT_MS = 5_000
"""Most milliseconds to wait for the reader of a pipe that does not block; then the output is dropped."""


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
    sys.stderr = _protect(sys.stderr, descriptor=2)


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
