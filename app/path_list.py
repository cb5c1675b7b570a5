"""List of paths below a directory, from a file or the standard input, in eight bytes a path."""

import os
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from errors import UsageError
from utils.image_discovery import PassedOver, PassedOverReason
from utils.safe_names import printable_key

STANDARD_INPUT = "-"
MAX_PATH_BYTES = 65_536


class PathList:
    """Paths that were listed, as hashes of their keys; each notes whether it was seen on the walk.

    Args:
        root: the directory that the paths are below.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._hashes = array("Q")
        self._seen = bytearray()

    def read(self, source: str, *, separator: bytes) -> Iterator[PassedOver]:
        """Read the list; yield the paths that lead nowhere.

        Args:
            source: the file, or ``-`` for the standard input.
            separator: what ends each path: a line feed or a NUL byte.

        Raises:
            UsageError: the list cannot be read, or a path of it is not below the directory.
        """
        found = array("Q")
        try:
            with _open(source) as file:
                for number, line in enumerate(_lines(file, separator), start=1):
                    relative = self._to_relative(line, where=f"--input-list: {source}, line {number}")
                    if os.path.lexists(self._root / relative):
                        found.append(_hash(printable_key(relative)))
                    else:
                        yield PassedOver(
                            path=self._root / relative,
                            relative=printable_key(relative),
                            reason=PassedOverReason.LISTED_MISSING,
                        )
        except OSError as error:
            raise UsageError(f"--input-list: {source} cannot be read ({error.strerror})") from error
        self._hashes = array("Q", (value for value, _ in groupby(sorted(found))))
        self._seen = bytearray(len(self._hashes))

    def check(self, key: str) -> bool:
        """Return whether the list has this file; it counts as seen."""
        value = _hash(key)
        place = bisect_left(self._hashes, value)
        is_listed = place < len(self._hashes) and self._hashes[place] == value
        if is_listed:
            self._seen[place] = 1
        return is_listed

    def count_unseen(self) -> int:
        """Return how many paths of the list the walk did not come to."""
        return self._seen.count(0)

    def _to_relative(self, line: bytes, *, where: str) -> str:
        """Return a path relative to the root: it is given so, or absolute, or as seen from here."""
        text = os.fsdecode(line)
        if "\0" in text:
            raise UsageError(f"{where}: the path holds a NUL byte; -0 is for lists that are separated by it")
        root = os.path.abspath(self._root)  # noqa: PTH100 - links stay as they are
        from_root, from_here = (os.path.abspath(os.path.join(start, text)) for start in (root, "."))  # noqa: PTH100, PTH118
        path = from_root if os.path.lexists(from_root) or not _is_below(from_here, root) else from_here
        if not _is_below(path, root):
            raise UsageError(f"{where}: {text!r} is not below {self._root}")
        return os.path.relpath(path, root)


def _is_below(path: str, root: str) -> bool:
    return path.startswith(root.rstrip("/") + "/")


def _open(source: str) -> AbstractContextManager[BinaryIO]:
    if source == STANDARD_INPUT:
        return nullcontext(sys.stdin.buffer)
    return Path(source).expanduser().open("rb")


def _lines(file: BinaryIO, separator: bytes) -> Iterator[bytes]:
    """Yield what stands between separators, without empty ones; a line feed may have its carriage return."""
    rest = b""
    while chunk := file.read(MAX_PATH_BYTES):
        *whole, rest = (rest + chunk).split(separator)
        if len(rest) > MAX_PATH_BYTES:
            raise UsageError(
                "--input-list holds a path of more than 65,536 bytes: is it another kind of file?"
            )
        yield from (line for line in map(_strip_return if separator == b"\n" else bytes, whole) if line)
    if last := (_strip_return(rest) if separator == b"\n" else rest):
        yield last


def _strip_return(line: bytes) -> bytes:
    return line.removesuffix(b"\r")


def _hash(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest())
