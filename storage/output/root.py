"""The output directory: made ready before anything is paid, and the same one at every write."""

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from errors import StorageError
from storage.output.folders import WRITE_TEST
from storage.output.tree import storage_errors, with_path
from utils.files import max_path_bytes
from utils.name_probe import probe_names
from utils.name_rules import ORDINARY, NameRules

_FIXED_BYTES = 200
"""Room for the longest path that depends on no image: an answer in the history under a short name."""
_TOO_LONG = "its path is too long for the files in it; choose a shorter --output-dir"
_GONE = "was removed, moved or unmounted during the run"


class OutputRoot:
    """The output directory of one run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None

    def prepare(self, folders: Iterable[Path]) -> NameRules:
        """Create missing folders, check that each can be written to, and return which names all of them take.

        Raises:
            StorageError: results could not be written; nothing was asked yet.

        """
        folders = list(folders)
        with storage_errors("nothing was asked yet"):
            self._path.mkdir(parents=True, exist_ok=True)
            if self.max_path_bytes() < _FIXED_BYTES:
                raise OSError(errno.ENAMETOOLONG, _TOO_LONG, str(self._path))
            self._identity = _identify(self._path)
            for folder in folders:
                with with_path(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / WRITE_TEST).write_bytes(b"writable\n")
                    (folder / WRITE_TEST).unlink()
            return _find_rules(folders)

    def max_path_bytes(self) -> int:
        """Return how many bytes the path of a file may have, relative to the directory."""
        return max_path_bytes(self._path) - len(os.fsencode(os.path.join(self._path, "")))  # noqa: PTH118

    def is_same(self) -> bool:
        """Return False if the directory was removed, moved or unmounted since it was prepared."""
        if self._identity is None:  # it was not prepared, so there is nothing to compare with
            return True
        try:
            return self._identity == _identify(self._path)
        except OSError:
            return False

    def describe_loss(self, consequence: str) -> StorageError:
        """Return the error for a directory that is no longer the same."""
        return StorageError(f"{self._path} {_GONE}: {consequence}")

    def check(self, consequence: str) -> None:
        """Raise a StorageError if the directory was removed, moved or unmounted during the run."""
        if not self.is_same():
            raise self.describe_loss(consequence)


def _find_rules(folders: Sequence[Path]) -> NameRules:
    """Return the rules of all file systems; each is probed once."""
    rules = ORDINARY
    for folder in {folder.stat().st_dev: folder for folder in reversed(folders)}.values():
        with with_path(folder):
            rules = rules.combine(probe_names(folder))
    return rules


def _identify(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino
