"""File systems beside the one of the tests' temporary folders."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def second_file_system() -> Iterator[Path]:
    """Return an empty folder on another file system than ``/tmp``; skip if there is none."""
    memory = Path("/dev/shm")  # noqa: S108 -- a file system of its own on every Linux
    if not memory.is_dir() or memory.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("NOT TESTED: needs a second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)
