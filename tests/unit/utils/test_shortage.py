"""Rules of utils/shortage.py."""

import errno
import os

import aiohttp
import pytest

from utils.shortage import is_passing


def connector_error(code: int) -> aiohttp.ClientConnectorError:
    """Return the HTTP library's error for a connection that failed so."""
    key = aiohttp.client_reqrep.ConnectionKey("host", 443, True, True, None, None, None)  # noqa: FBT003
    return aiohttp.ClientConnectorError(key, OSError(code, os.strerror(code)))


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (OSError(errno.EMFILE, "Too many open files"), True),
        (OSError(errno.ENFILE, "Too many open files in system"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (connector_error(errno.EMFILE), True),
        (MemoryError(), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (connector_error(errno.ECONNREFUSED), False),
        (ValueError("no"), False),
        (None, False),
    ],
)
def test_what_passes(error: BaseException | None, *, passes: bool) -> None:
    """Descriptors and memory come back; a full disk and a refused connection are other things."""
    assert is_passing(error) is passes
