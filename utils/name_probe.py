"""Probe of a file system: which names it takes, found out with a few files that are removed at once.

An ordinary file system costs one folder and two files, another one up to sixty. What it does counts, not what
it is called or says of itself: a share has the rules of the server's disk, and a wrong ``f_namemax``.
"""

import errno
import os
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from utils.files import unfinished_name
from utils.name_rules import ORDINARY, NameRules

_SUSPECTS = "\\:*?\"<>|;,+=[]{}'^#&$!@()`"
"""Characters that some file system refuses; ``~``, ``%``, ``_``, ``-`` and ``.`` are needed for all names."""

_LETTERS = "aéß日本\N{GRINNING FACE}"
_MIXED = "Aux.é"
"""A Windows device; also spelled in small letters, and with an ``é`` of two characters."""

_FAULTS_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_MIN_BYTES = 48
"""A shorter limit is not looked for: no name would be left."""


def probe_names(folder: Path) -> NameRules:
    """Return the rules for names in a folder that can be written to.

    Raises:
        OSError: the disk is full or read-only, or the folder cannot be written to.

    """
    with _test_folder(folder) as there:
        return ORDINARY if _is_ordinary(there) else _examine(there)


@contextmanager
def _test_folder(folder: Path) -> Iterator[Path]:
    there = folder / unfinished_name()
    there.mkdir()
    try:
        yield there
    finally:
        shutil.rmtree(there, ignore_errors=True)


def _is_ordinary(there: Path) -> bool:
    """Return True if every name is taken as it is, and no two names are one."""
    everything = f"{_LETTERS}{_SUSPECTS}"
    longest = f"{everything}{'x' * (ORDINARY.max_bytes - len(everything.encode()) - 2)}. "
    try:
        for name in (longest, _MIXED):
            _create(there / name)
        listed = os.listdir(there)  # noqa: PTH208 -- names alone
    except OSError as error:
        _raise_fault(error)
        return False
    is_alias = any(os.path.lexists(there / other) for other in (_MIXED.lower(), _decompose(_MIXED)))
    return not is_alias and sorted(listed) == sorted([longest, _MIXED])


def _examine(there: Path) -> NameRules:
    """Return the rules, each found with names of its own."""
    shutil.rmtree(there)
    there.mkdir()
    suspects = _SUSPECTS if not _takes(there, f"a{_SUSPECTS}z") else ""
    is_ascii = not all(_takes(there, f"a{letter}z") for letter in "é日")
    return NameRules(
        max_bytes=_measure_names(there, is_ascii=is_ascii),
        forbidden=frozenset(one for one in suspects if not _takes(there, f"a{one}z")),
        forbidden_at_end=frozenset(one for one in ". " if not _takes(there, f"a{one}", is_folder=True)),
        is_ascii=is_ascii,
        is_basic=not _takes(there, "a\N{GRINNING FACE}z"),
        has_devices=not _takes(there, "aux.txt"),
        folds_case=_is_one(there, "Az", ["aZ"]),
        folds_forms=not is_ascii and _is_one(there, "éz", [_decompose("éz")]),
    )


def _takes(there: Path, name: str, *, is_folder: bool = False) -> bool:
    """Return True if a file of this name can be made and is listed by it, composed or not."""
    path = there / name
    try:
        make, remove = (path.mkdir, path.rmdir) if is_folder else (partial(_create, path), path.unlink)
        make()
        listed = [_compose(one) for one in os.listdir(there)]  # noqa: PTH208 -- names alone
        remove()
    except OSError as error:
        _raise_fault(error)
        return False
    return _compose(name) in listed


def _is_one(there: Path, name: str, others: Iterable[str]) -> bool:
    """Return True if one of the other names stands for the same file."""
    path = there / name
    try:
        _create(path)
        is_alias = any(os.path.lexists(there / other) for other in others)
        path.unlink()
    except OSError as error:
        _raise_fault(error)
        return True
    return is_alias


def _measure_names(there: Path, *, is_ascii: bool) -> int:
    """Return how many bytes a name can have, at most those of an ordinary file system."""
    limit = _measure_letter(there, "x")
    # Where names are stored decomposed, an "é" takes three bytes.
    return limit if is_ascii or _takes(there, "é" * (limit // 2)) else _measure_letter(there, "é")


def _measure_letter(there: Path, letter: str) -> int:
    width = len(letter.encode())
    low, high = _MIN_BYTES // width, ORDINARY.max_bytes // width
    if _takes(there, letter * high):
        return ORDINARY.max_bytes
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _takes(there, letter * middle) else (low, middle)
    return low * width


def _create(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def _raise_fault(error: OSError) -> None:
    """Raise an error that is none of the name's."""
    if error.errno in _FAULTS_OF_THE_DISK:
        raise error


def _compose(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _decompose(name: str) -> str:
    return unicodedata.normalize("NFD", name)
