"""Damages of files, as disks, copies and people do them: each takes a path and a source of chance."""

import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

_MOST_FLIPPED = 40
_GARBAGE = 400

Damage = Callable[[Path, random.Random], None]


def flip(path: Path, draw: random.Random) -> None:
    """Flip some random bits."""
    data = bytearray(path.read_bytes())
    for _ in range(draw.randint(1, _MOST_FLIPPED) if data else 0):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def truncate(path: Path, draw: random.Random) -> None:
    """Cut it off somewhere."""
    size = path.stat().st_size
    with path.open("r+b") as handle:
        handle.truncate(draw.randint(0, max(0, size - 1)))


def fill_with_zeros(path: Path, draw: random.Random) -> None:
    """Put zeros in the place of a part, as a power cut does."""
    data = bytearray(path.read_bytes())
    start = draw.randint(0, len(data))
    data[start:] = bytes(len(data) - start)
    path.write_bytes(data)


def append_garbage(path: Path, draw: random.Random) -> None:
    """Add random bytes at the end."""
    with path.open("ab") as handle:
        handle.write(draw.randbytes(draw.randint(1, _GARBAGE)))


def remove(path: Path, _: random.Random) -> None:
    """Remove it."""
    path.unlink()


def swap(path: Path, draw: random.Random) -> None:
    """Exchange it with another file of its folder."""
    others = sorted(other for other in path.parent.iterdir() if other.is_file() and other != path)
    if not others:
        return
    other, spare = draw.choice(others), path.with_name("spare")
    path.rename(spare)
    other.rename(path)
    spare.rename(other)


def put_folder(path: Path, _: random.Random) -> None:
    """Put an empty folder in its place."""
    path.unlink()
    path.mkdir()


def put_link(path: Path, _: random.Random) -> None:
    """Put a link to nothing in its place."""
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def repeat(path: Path, _: random.Random) -> None:
    """Write its content twice."""
    shutil.copyfile(path, spare := path.with_name("spare"))
    with path.open("ab") as handle:
        handle.write(spare.read_bytes())
    spare.unlink()


DAMAGES: Mapping[str, Damage] = {
    "flipped": flip,
    "cut": truncate,
    "zeroed": fill_with_zeros,
    "with garbage": append_garbage,
    "removed": remove,
    "swapped": swap,
    "a folder": put_folder,
    "a dangling link": put_link,
    "doubled": repeat,
}
