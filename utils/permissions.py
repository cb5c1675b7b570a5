"""Permissions: what is made of a private folder's content is as private as the folder.

The umask still counts: permissions are only taken away.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_READABLE = 0o5
"""A folder is read with both: r for the names, x for the files."""


@contextmanager
def no_wider_than(folder: Path) -> Iterator[None]:
    """Let the files that the block makes be read by no class of users that cannot read the folder.

    Classes are the group and all others. A folder that cannot be looked at changes nothing.
    """
    try:
        mode = folder.stat().st_mode
    except OSError:
        mode = 0o777
    denied = sum(0o7 << shift for shift in (3, 0) if mode >> shift & _READABLE != _READABLE)
    before = os.umask(0o777)
    os.umask(before | denied)
    try:
        yield
    finally:
        os.umask(before)
