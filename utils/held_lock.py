"""Held lock: whether the lock that a process took is still the one that others meet.

A lock belongs to a file, not to its name: where the file is removed or replaced, another process locks a new
one, and both think that they are alone.
"""

import os
from collections.abc import Callable
from pathlib import Path

Identity = tuple[int, int] | bytes
"""Device and inode; or the content of a file that stands for a lock, where inodes may change."""


class HeldLock:
    """A lock while it is held.

    Args:
        path: the file that other processes would lock.
        identify: returns what tells the file at the path from every other one; raises an OSError if there is
            none. None if there is nothing to compare: then the lock never counts as lost.
        identity: of the file that is locked.
    """

    def __init__(
        self,
        path: Path,
        identify: Callable[[Path], Identity] | None = None,
        identity: Identity = b"",
    ) -> None:
        self.path = path
        self._identify = identify
        self._identity = identity
        self._folder = identify_file(path.parent) if identify else b""

    def is_lost(self) -> bool:
        """Return True if the file was removed or replaced; False also if its whole folder is another one."""
        if self._identify is None:
            return False
        try:
            return self._identify(self.path) != self._identity and self._is_same_folder()
        except FileNotFoundError:
            return self._is_same_folder()
        except OSError:  # a share that does not answer for a moment
            return False

    def _is_same_folder(self) -> bool:
        try:
            return identify_file(self.path.parent) == self._folder
        except OSError:
            return False


def identify_file(path: Path | int) -> tuple[int, int]:
    """Return device and inode of a file, by its path or its descriptor."""
    status = os.stat(path)  # noqa: PTH116 - also of a descriptor
    return status.st_dev, status.st_ino
