"""Shortage of the system: descriptors or memory that are missing now, and may be there in a moment.

Source of the codes: open(2), socket(2), connect(2).
"""

import errno

PASSING_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""Errors that say nothing about the file or the host that was asked for."""


def is_passing(error: BaseException | None) -> bool:
    """Return whether an error, or the one of the system in it, means such a shortage."""
    cause = getattr(error, "os_error", None) or error  # aiohttp keeps the system's own there
    return isinstance(cause, MemoryError) or getattr(cause, "errno", None) in PASSING_ERRNOS
