"""Archives: packs folders into a zip or a tar.gz, with equal bytes for equal files.

Names are sorted, and times, owners and modes are fixed. Contents are streamed; memory holds one short entry
for each file of a zip.
"""

import gzip
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MODE = 0o644
_COMPRESSION_LEVEL = 6
_PIECE_BYTES = 1 << 20
_EARLIEST_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can store."""
_UNIX_SYSTEM = 3
"""The number for Unix in a zip, so that the mode of an entry counts."""
_COMPRESSED_ALREADY = frozenset(
    {".7z", ".avif", ".bz2", ".gif", ".gz", ".heic", ".heif", ".jp2", ".jpeg", ".jpg", ".mp4", ".png"}
    | {".webp", ".xz", ".zip", ".zst"}
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file to be packed."""

    name: str
    """The file's name in the archive, with ``/``."""
    path: Path


def list_members(root: Path, folders: Iterable[str], *, skip: Callable[[str], bool]) -> Iterator[Member]:
    """Yield the regular files in these folders of ``root``, sorted by name, one folder's list at a time.

    Missing folders, links, pipes and names that are not UTF-8 are skipped.

    Args:
        root: the folder that names are relative to.
        folders: names of folders directly in ``root``.
        skip: called with the name of each file and folder, relative to ``root``; True leaves it out.

    Raises:
        OSError: a folder cannot be read.

    """
    for folder in sorted(folders):
        if (root / folder).is_dir():
            yield from _list_members(root, folder, skip)


def _list_members(root: Path, folder: str, skip: Callable[[str], bool]) -> Iterator[Member]:
    levels = [(folder, iter(_list_sorted(root / folder)))]
    while levels:  # not by recursion: a path of 4,096 bytes can have 2,000 folders
        prefix, listed = levels[-1]
        name, is_file = next(listed, ("", False))
        full_name = f"{prefix}/{name.removesuffix('/')}"
        if not name:
            levels.pop()
        elif skip(full_name) or not _is_utf8(name):
            continue
        elif name.endswith("/"):
            levels.append((full_name, iter(_list_sorted(root / full_name))))
        elif is_file:
            yield Member(full_name, root / full_name)


def _list_sorted(directory: Path) -> list[tuple[str, bool]]:
    """Return the names in a folder, each with whether it is a file; folders have a slash at their end."""
    with os.scandir(directory) as entries:
        # Folders are sorted by their name with a slash, so that the full names are in order.
        return sorted(
            (entry.name + "/" * entry.is_dir(follow_symlinks=False), _is_file(entry)) for entry in entries
        )


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_zip(target: BinaryIO, files: Iterable[Member]) -> None:
    """Write a zip of any size to the seekable ``target``; pictures are stored, other files deflated.

    Raises:
        OSError: a file cannot be read, or ``target`` cannot be written.

    """
    with zipfile.ZipFile(target, "w") as archive:
        for member in files:
            with member.path.open("rb") as source, archive.open(_zip_entry(member, source), "w") as entry:
                shutil.copyfileobj(source, entry, _PIECE_BYTES)


def _zip_entry(member: Member, source: BinaryIO) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(member.name, date_time=_EARLIEST_TIME)
    entry.create_system = _UNIX_SYSTEM
    entry.external_attr = (stat.S_IFREG | _MODE) << 16
    # Tells zipfile whether the entry needs the form for files above 2 GiB.
    entry.file_size = _size(source)
    is_compressed = member.path.suffix.lower() in _COMPRESSED_ALREADY
    entry.compress_type = zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED
    return entry


def write_tar_gz(target: BinaryIO, files: Iterable[Member]) -> None:
    """Write a gzipped tar (POSIX pax) to ``target``.

    Raises:
        OSError: a file cannot be read or shrinks meanwhile, or ``target`` cannot be written.

    """
    with (
        gzip.GzipFile(
            filename="", mode="wb", compresslevel=_COMPRESSION_LEVEL, fileobj=target, mtime=0
        ) as compressed,
        tarfile.open(mode="w|", fileobj=compressed, format=tarfile.PAX_FORMAT, encoding="utf-8") as archive,
    ):
        for member in files:
            with member.path.open("rb") as source:
                archive.addfile(_tar_entry(member, source), source)
            # tarfile keeps every entry, which a stream does not need: memory would grow.
            archive.getmembers().clear()


def _tar_entry(member: Member, source: BinaryIO) -> tarfile.TarInfo:
    """Return an entry with mtime, uid and gid 0 and without user names."""
    entry = tarfile.TarInfo(member.name)
    entry.size = _size(source)
    entry.mode = _MODE
    return entry


def _size(source: BinaryIO) -> int:
    return os.fstat(source.fileno()).st_size
