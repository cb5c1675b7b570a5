"""Rules of utils/archives.py and of the archive, read back by the standard library's own readers."""

import os
import random
import shutil
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from archiver import Archiver
from errors import StorageError
from tests.support.outcomes import archiver, failed, full_disk, picture, succeeded
from utils.archives import Member, list_members, write_tar_gz, write_zip

NASTY = ["new\nline.txt", "é🙂.txt", "-rf.txt", "~tilde", "back\\slash.txt", " blank ", "x" * 250, "%41.txt"]
EARLIEST = (1980, 1, 1, 0, 0, 0)


def read_back(archive: Path) -> dict[str, bytes]:
    """Return what an archive holds, in its order."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            assert opened.testzip() is None
            return {name: opened.read(name) for name in opened.namelist()}
    with tarfile.open(archive) as packed:
        return {entry.name: content(packed, entry) for entry in packed}


def content(packed: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    """Return the bytes of a file in a tar."""
    opened = packed.extractfile(entry)
    assert opened is not None
    return opened.read()


def make(root: Path, *names: str) -> dict[str, bytes]:
    """Make files that hold their own names; return what an archive of them must hold."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return {name: name.encode() for name in sorted(names)}


def a_tree(root: Path) -> Archiver:
    """Make a small tree of results."""
    root.mkdir(exist_ok=True)
    store = archiver(root)
    store.store(succeeded("t/a.jpg", "text" * 100, picture()))
    store.store(succeeded("b.jpg", "text"))
    store.store(failed("c.jpg"))
    store.write_document("processing_stats", succeeded("b.jpg").job)
    return store


def pack(store: Archiver, fmt: str) -> Path:
    """Pack, and return the archive's path."""
    path = store.pack(fmt)
    assert path is not None
    return path


each_format = pytest.mark.parametrize("fmt", ["zip", "tar"])


@each_format
def test_an_archive_holds_results_and_metadata_and_nothing_else(tmp_path: Path, fmt: str) -> None:
    """No journal, lock, log, unfinished file, dry-run remark, earlier archive or foreign file is in it."""
    store = a_tree(tmp_path)
    expected = {
        "failed/c.jpg_error.log",
        "metadata/processing_stats.json",
        "metadata/results.jsonl",
        "successful/b.jpg_result.txt",
        "successful/t/a.jpg_result.png",
        "successful/t/a.jpg_result.txt",
    }
    kept = ["metadata/history/r1/failed/x.log", "metadata/history/r1/successful/journal.db", "failed/run.log"]
    out = [
        "journal.db",
        "journal.db-wal",
        "journal.db.damaged-1",
        "run.lock",
        ".lock",
        "run.log",
        "run.log.3",
    ]
    make(tmp_path, *kept, *(f"metadata/{name}" for name in [*out, "logs/x", "dry-run/processing_stats.json"]))
    make(tmp_path, "archive.zip", "archive.tar.gz", "archive.dry-run.zip", "mine.txt", ".lock")
    make(tmp_path, "successful/.atomic-0123456789abcdef.tmp", "failed/.write-test")
    (tmp_path / "successful/link").symlink_to(tmp_path / "mine.txt")
    (tmp_path / "successful/loop").symlink_to(tmp_path / "successful")
    os.mkfifo(tmp_path / "successful/pipe")

    archive = pack(store, fmt)

    assert archive.name == {"zip": "archive.zip", "tar": "archive.tar.gz"}[fmt]
    held = read_back(archive)
    assert set(held) == expected | set(kept)
    assert list(held) == sorted(held)
    assert all(data == (tmp_path / name).read_bytes() for name, data in held.items())


@each_format
def test_the_same_tree_gives_the_same_bytes(tmp_path: Path, fmt: str) -> None:
    """Neither times, nor owners, nor modes, nor the order on the disk, nor an earlier archive are in it."""
    one, other = a_tree(tmp_path / "one"), archiver(tmp_path / "other")
    first = pack(one, fmt).read_bytes()
    for path in sorted((tmp_path / "one").rglob("*"), reverse=True):
        copy = tmp_path / "other" / path.relative_to(tmp_path / "one")
        if path.is_file() and not path.name.startswith("archive."):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
            os.utime(copy, (1, 1))

    assert pack(other, fmt).read_bytes() == first
    assert pack(one, fmt).read_bytes() == first


def test_the_fixed_facts_of_a_zip(tmp_path: Path) -> None:
    """Entries are from 1980 and readable by all users; what is compressed already is stored."""
    with zipfile.ZipFile(pack(a_tree(tmp_path), "zip")) as archive:
        entries = archive.infolist()

    assert {entry.date_time for entry in entries} == {EARLIEST}
    assert {entry.external_attr >> 16 for entry in entries} == {stat.S_IFREG | 0o644}
    methods = {Path(entry.filename).suffix: entry.compress_type for entry in entries}
    assert methods[".png"] == zipfile.ZIP_STORED
    assert methods[".txt"] == methods[".json"] == zipfile.ZIP_DEFLATED


def test_the_fixed_facts_of_a_tar(tmp_path: Path) -> None:
    """Entries are from 1970 and have no owner; the gzip header names no file and no time."""
    archive = pack(a_tree(tmp_path), "tar")
    with tarfile.open(archive) as opened:
        entries = list(opened)

    facts = {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode) for entry in entries}
    assert facts == {(0, 0, 0, "", "", 0o644)}
    with (tmp_path / "named.tar").open("wb") as named:
        write_tar_gz(named, [])
    for path in (archive, tmp_path / "named.tar"):
        magic, _, flags, mtime = struct.unpack("<HBBI", path.read_bytes()[:8])
        assert (magic, flags, mtime) == (0x8B1F, 0, 0)


@each_format
def test_names_come_back_as_they_were(tmp_path: Path, fmt: str) -> None:
    """Line feeds, blanks, emoji and names near the limit survive."""
    expected = make(tmp_path, *(f"successful/{name}" for name in NASTY), "successful/a-b/c", "successful/a/c")

    assert list(read_back(pack(archiver(tmp_path), fmt)).items()) == sorted(expected.items())


@each_format
def test_a_name_that_is_not_utf8_is_passed_over(tmp_path: Path, fmt: str) -> None:
    """We never write one, and no archive can hold it everywhere."""
    expected = make(tmp_path, "successful/a.txt")
    Path(os.fsdecode(os.fsencode(tmp_path / "successful") + b"/\xff.txt")).write_bytes(b"x")

    assert read_back(pack(archiver(tmp_path), fmt)) == expected


@each_format
def test_an_empty_tree_is_an_empty_archive(tmp_path: Path, fmt: str) -> None:
    """A run without any result still gives an archive that opens."""
    assert read_back(pack(archiver(tmp_path), fmt)) == {}


def test_no_archive_is_asked_for(tmp_path: Path) -> None:
    """The format ``none`` writes nothing."""
    assert a_tree(tmp_path).pack("none") is None
    assert not list(tmp_path.glob("archive*"))


@each_format
def test_an_archive_that_cannot_be_finished_leaves_the_earlier_one(tmp_path: Path, fmt: str) -> None:
    """Half an archive never stands, and the error names the archive and the reason."""
    store = a_tree(tmp_path)
    archive = pack(store, fmt)
    before = archive.read_bytes()
    store.store(succeeded("d.jpg", "text", random.Random(7).randbytes(50_000)))

    with full_disk(at_bytes=20_000), pytest.raises(StorageError, match="File too large") as caught:
        store.pack(fmt)
    assert str(archive) in str(caught.value)
    assert archive.read_bytes() == before
    assert not list(tmp_path.glob(".atomic-*"))

    assert len(pack(store, fmt).read_bytes()) > 50_000


@pytest.mark.parametrize("write", [write_zip, write_tar_gz])
def test_a_large_file_is_streamed(tmp_path: Path, write: Callable[[BinaryIO, list[Member]], None]) -> None:
    """Memory does not grow with a file's size."""
    large = tmp_path / "large.txt"
    with large.open("wb") as handle:
        handle.truncate(64 << 20)

    tracemalloc.start()
    with (tmp_path / "archive").open("wb") as target:
        write(target, [Member("large.txt", large)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 8 << 20


def test_the_walk_is_lazy_and_sorted_as_whole_names(tmp_path: Path) -> None:
    """``a-b/x`` sorts before ``a/x``, as the whole names do, though ``a`` sorts before ``a-b``."""
    expected = make(tmp_path, "s/a/x", "s/a-b/x", "s/a.txt", "s/a/b/c", "s/b", "f/z")

    walked = list_members(tmp_path, ["s", "f", "missing"], skip=lambda name: name == "s/b")

    assert [member.name for member in walked] == [name for name in expected if name != "s/b"]
