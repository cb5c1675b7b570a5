"""Rules of processing/image_loader.py: files that another program holds for a moment are read again."""

import asyncio
import fcntl
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from models import ImageJob
from processing.image_loader import InspectedImage, Inspector
from processing.stop_signal import RunStoppedError
from utils.image_validator import BusyImage


@contextmanager
def lease(path: Path) -> Iterator[None]:
    """Hold a file as a file server does for a client that writes: to open it fails with EAGAIN."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        with path.open("r+b") as handle:
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            yield
    except OSError as error:
        pytest.skip(f"NOT TESTED: this file system has no leases ({error.strerror})")
    finally:
        signal.signal(signal.SIGIO, before)


class Waits:
    """A clock that lets go of the file at one of the waits, and stops the run at another."""

    def __init__(self, *, free_at: int, stop_at: int = 99) -> None:
        self.seconds: list[float] = []
        self._free_at, self._stop_at = free_at, stop_at
        self.holder: Iterator[None] | None = None

    async def sleep(self, delay_s: float) -> None:
        """Note the wait, which takes no time."""
        self.seconds.append(delay_s)
        if len(self.seconds) == self._stop_at:
            raise RunStoppedError
        if len(self.seconds) == self._free_at and self.holder is not None:
            next(self.holder, None)


def inspect(path: Path, waits: Waits) -> InspectedImage:
    """Inspect an image that is held until ``waits`` lets it go."""

    def hold() -> Iterator[None]:
        with lease(path):
            yield

    def filter_known(hashes: Sequence[str]) -> Collection[str]:
        return hashes

    waits.holder = hold()
    next(waits.holder)
    status = path.stat()
    job = ImageJob(key=path.name, path=path, size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)
    try:
        return asyncio.run(Inspector(filter_known, sleep=waits.sleep).inspect(job))
    finally:
        next(waits.holder, None)


@pytest.fixture(params=["a.png", "a.webp"])
def image(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A small image of either kind: checked together with others, and in a thread of its own."""
    Image.new("RGB", (16, 16)).save(tmp_path / request.param)
    return tmp_path / str(request.param)


@pytest.mark.parametrize("free_at", [1, 2, 3])
def test_a_file_that_is_held_for_a_moment_is_read_again(image: Path, free_at: int) -> None:
    """However long it is held within ten seconds, it is the image that it is."""
    waits = Waits(free_at=free_at)

    found = inspect(image, waits)

    assert (found.facts.width, len(waits.seconds)) == (16, free_at)
    assert sum(waits.seconds) < 11


@pytest.mark.parametrize(
    ("stop_at", "count", "error"), [(99, 3, BusyImage), (2, 2, RunStoppedError)], ids=["held", "stopped"]
)
def test_a_file_that_stays_held_is_left_to_the_next_run(
    image: Path, *, stop_at: int, count: int, error: type[Exception]
) -> None:
    """It is unavailable, not damaged; a run that stops does not wait for it."""
    waits = Waits(free_at=98, stop_at=stop_at)

    with pytest.raises(error):
        inspect(image, waits)

    assert len(waits.seconds) == count
