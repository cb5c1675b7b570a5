"""Image discovery: walks a directory and yields every image, and all else with the reason.

Only regular files are opened, and only their first bytes are read, if the name does not decide.
"""

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from utils.files import open_regular
from utils.image_formats import HEAD_BYTES, RAW_SUFFIXES, SUFFIXES, UNSUPPORTED_SUFFIXES, ImageFormat, sniff
from utils.safe_names import printable_key


class PassedOverReason(StrEnum):
    """Reason why a file or directory was passed over."""

    HIDDEN = "hidden"
    APPLE_DOUBLE = "apple_double"
    SYSTEM = "system"
    OUTPUT_DIRECTORY = "output_directory"
    OTHER_OUTPUT_DIRECTORY = "other_output_directory"
    DIRECTORY_NAMED_LIKE_IMAGE = "directory_named_like_image"
    SPECIAL_FILE = "special_file"
    DANGLING_LINK = "dangling_link"
    LINK_LOOP = "link_loop"
    VANISHED = "vanished"
    PATH_TOO_LONG = "path_too_long"
    UNREADABLE = "unreadable"
    UNSUPPORTED_FORMAT = "unsupported_format"
    NOT_AN_IMAGE = "not_an_image"
    LISTED_MISSING = "listed_missing"

    @property
    def meaning(self) -> str:
        """The reason in words that follow "passed over: "."""
        return _MEANINGS[self]


_MEANINGS = {
    PassedOverReason.HIDDEN: "hidden, its name begins with a dot",
    PassedOverReason.APPLE_DOUBLE: "a Mac's notes on another file",
    PassedOverReason.SYSTEM: "made by the operating system or the file server",
    PassedOverReason.OUTPUT_DIRECTORY: "the output directory",
    PassedOverReason.OTHER_OUTPUT_DIRECTORY: "the output directory of another run",
    PassedOverReason.DIRECTORY_NAMED_LIKE_IMAGE: "a directory named like an image; what is in it counts",
    PassedOverReason.SPECIAL_FILE: "a pipe, a socket or a device",
    PassedOverReason.DANGLING_LINK: "a link to nothing",
    PassedOverReason.LINK_LOOP: "a link that leads back to where it stands",
    PassedOverReason.VANISHED: "gone before it could be looked at",
    PassedOverReason.PATH_TOO_LONG: "its path is too long for the system; shorten the names of its folders",
    PassedOverReason.UNREADABLE: "unreadable, permission is missing or the disk is at fault",
    PassedOverReason.UNSUPPORTED_FORMAT: "a kind of picture that cannot be sent; convert it to PNG or JPEG",
    PassedOverReason.NOT_AN_IMAGE: "not an image",
    PassedOverReason.LISTED_MISSING: "named by --input-list, and not there",
}

_BY_ERRNO = {
    errno.ELOOP: PassedOverReason.LINK_LOOP,
    errno.ENAMETOOLONG: PassedOverReason.PATH_TOO_LONG,
}

_SYSTEM_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", ".localized", "icon\r", "__macosx"}
    | {"@eadir", "#recycle", "$recycle.bin", "recycler", "system volume information", "lost+found"}
)
"""In lower case. NAS servers keep thumbnails in ``@eaDir``: images, but not the user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """A file that is an image by its name or its first bytes; it is not checked yet."""

    path: Path
    relative: str
    """The path below the root as a printable, unique key (see ``safe_names.printable_key``)."""
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A file or directory that was passed over; a directory with all that is in it."""

    path: Path
    relative: str
    """As in :class:`FoundImage`; empty for the root itself."""
    reason: PassedOverReason


OwnParts = Callable[[str, Sequence[str]], frozenset[str]]
"""Returns which names in a directory are results of this program; called with its path and all names."""


def discover(
    root: Path, *, exclude: Collection[Path], find_own_parts: OwnParts = lambda *_: frozenset()
) -> Iterator[FoundImage | PassedOver]:
    """Yield every image below ``root``, and everything that is passed over with its reason.

    The walk is lazy and sorted by the bytes of the names, folder by folder, so the order is the same in
    every run. Memory holds the names of one directory per level. Links are followed. A directory in
    ``exclude`` is not entered, whatever path leads to it, nor is one that holds ``metadata/journal.db``,
    except ``root``, which the user named. Results of this program that lie among images are passed over; a
    directory that holds nothing else is passed over as a whole, or read if it is ``root``. Never raises: a
    root that is missing or no directory is itself yielded as passed over.
    """
    walk = _Walk(exclude, find_own_parts)
    yield from walk.enter(os.fspath(root), "")
    while walk.levels:
        level = walk.levels[-1]
        name = next(level.names, None)
        if name is None:
            walk.levels.pop()
            continue
        path = os.path.join(level.path, name)  # noqa: PTH118 -- a Path for each of 100,000 names costs seconds
        relative = f"{level.relative}/{name}" if level.relative else name
        if name in level.own_parts:
            yield _build_passed_over(path, relative, PassedOverReason.OTHER_OUTPUT_DIRECTORY)
            continue
        yield from walk.visit(path, relative, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """A directory that is being walked."""

    path: str
    relative: str
    identity: tuple[int, int]
    names: Iterator[str]
    own_parts: frozenset[str]


class _Walk:
    """The state of the walk: the directories from the root down to the current one."""

    def __init__(self, exclude: Collection[Path], find_own_parts: OwnParts) -> None:
        self.levels: list[_Level] = []
        self._find_own_parts = find_own_parts
        self._exclude = tuple(exclude)

    def visit(self, path: str, relative: str, name: str) -> Iterator[FoundImage | PassedOver]:
        """Yield the result for one name; a directory becomes the next level."""
        reason = _reason_by_name(name)
        if reason is not None:
            yield _build_passed_over(path, relative, reason)
            return
        status = _stat(path)
        if isinstance(status, PassedOverReason):
            yield _build_passed_over(path, relative, status)
        elif stat.S_ISDIR(status.st_mode):
            if _suffix(name) in SUFFIXES:
                yield _build_passed_over(path, relative, PassedOverReason.DIRECTORY_NAMED_LIKE_IMAGE)
            yield from self.enter(path, relative)
        elif stat.S_ISREG(status.st_mode):
            yield _classify_file(path, relative, status)
        else:
            yield _build_passed_over(path, relative, PassedOverReason.SPECIAL_FILE)

    def enter(self, path: str, relative: str) -> Iterator[PassedOver]:
        """Open a directory as the next level, or yield why it is passed over."""
        opened = self._open(path, relative)
        if isinstance(opened, _Level):
            self.levels.append(opened)
        else:
            yield _build_passed_over(path, relative, opened)

    def _open(self, path: str, relative: str) -> _Level | PassedOverReason:
        status = _stat(path)
        if isinstance(status, PassedOverReason):
            return status
        identity = _identity(status)
        if self._is_excluded(identity):
            return PassedOverReason.OUTPUT_DIRECTORY
        if any(level.identity == identity for level in self.levels):
            return PassedOverReason.LINK_LOOP
        try:
            names = os.listdir(path)  # noqa: PTH208 -- names, not 100,000 Path objects
        except OSError:
            return PassedOverReason.UNREADABLE
        own_parts = self._find_own_parts(path, names)
        has_images = bool(own_parts) and any(_may_hold_images(path, name) for name in {*names} - own_parts)
        is_tree = bool(own_parts) and not has_images
        if self.levels and (is_tree or _has_journal(path, names)):
            return PassedOverReason.OTHER_OUTPUT_DIRECTORY
        names.sort(key=os.fsencode)
        return _Level(
            path=path,
            relative=relative,
            identity=identity,
            names=iter(names),
            own_parts=own_parts if has_images else frozenset(),
        )

    def _is_excluded(self, identity: tuple[int, int]) -> bool:
        # By identity, since links and mounts give one directory several paths; read each time, since
        # the output directory may be created after the walk has begun.
        statuses = (_try_stat(path) for path in self._exclude)
        return any(status is not None and _identity(status) == identity for status in statuses)


def _has_journal(path: str, names: Sequence[str]) -> bool:
    return "metadata" in names and os.path.lexists(f"{path}/metadata/journal.db")


def _may_hold_images(path: str, name: str) -> bool:
    """Return whether a name is that of a directory or an image; neither hidden nor of the system."""
    is_directory = os.path.isdir(f"{path}/{name}")  # noqa: PTH112 -- as above
    return _reason_by_name(name) is None and (is_directory or _suffix(name) in SUFFIXES)


def _reason_by_name(name: str) -> PassedOverReason | None:
    """Return why a file or directory of this name is passed over unread, or None."""
    if name.startswith("._"):
        return PassedOverReason.APPLE_DOUBLE
    if name.lower() in _SYSTEM_NAMES:
        return PassedOverReason.SYSTEM
    return PassedOverReason.HIDDEN if name.startswith(".") else None


def _classify_file(path: str, relative: str, status: os.stat_result) -> FoundImage | PassedOver:
    """Return what a regular file is, by its suffix, else by its first bytes."""
    suffix = _suffix(path)
    if suffix not in SUFFIXES:
        reason = _reason_by_content(path, status.st_size)
        if suffix in UNSUPPORTED_SUFFIXES and reason is PassedOverReason.NOT_AN_IMAGE:
            reason = PassedOverReason.UNSUPPORTED_FORMAT
        if reason is not None:
            return _build_passed_over(path, relative, reason)
    return FoundImage(
        path=Path(path),
        relative=printable_key(relative),
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
    )


def _reason_by_content(path: str, size_bytes: int) -> PassedOverReason | None:
    """Return why a file without an image's suffix is no image, or None if its first bytes are an image's.

    A JPEG named ``.psd`` is one; raw data of a camera are not, although most of them begin like a TIFF.
    """
    if size_bytes == 0:
        return PassedOverReason.NOT_AN_IMAGE
    try:
        with open_regular(path) as handle:
            kind = sniff(handle.read(HEAD_BYTES))
    except FileNotFoundError:
        return PassedOverReason.VANISHED
    except OSError:
        return PassedOverReason.UNREADABLE
    is_raw = kind is ImageFormat.TIFF and _suffix(path) in RAW_SUFFIXES
    return PassedOverReason.NOT_AN_IMAGE if kind is None or is_raw else None


def _stat(path: str) -> os.stat_result | PassedOverReason:
    """Return the status of the path, links followed, or the reason if there is none."""
    try:
        return os.stat(path)  # noqa: PTH116 -- as above, without a Path for each name
    except FileNotFoundError:
        is_link = os.path.islink(path)  # noqa: PTH114
        return PassedOverReason.DANGLING_LINK if is_link else PassedOverReason.VANISHED
    except OSError as exc:
        return _BY_ERRNO.get(exc.errno or 0, PassedOverReason.UNREADABLE)


def _try_stat(path: Path) -> os.stat_result | None:
    """Return the status, or None if the directory does not exist yet or cannot be reached."""
    try:
        return path.stat()
    except OSError:
        return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 -- as above


def _build_passed_over(path: str, relative: str, reason: PassedOverReason) -> PassedOver:
    return PassedOver(path=Path(path), relative=printable_key(relative), reason=reason)
