"""Rules of images that cannot be read for a while: the others are answered, these wait or come next time."""

import asyncio
import errno
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, run_cli
from tests.support.cli_cases import arguments, make_images
from tests.support.faults import fault_environment

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("fault", "error", "times", "code"),
    [
        ("read", errno.EAGAIN, 1, 0),
        ("open", errno.EAGAIN, 1, 0),
        ("read", errno.EAGAIN, 0, 3),
        ("open", errno.EAGAIN, 0, 3),
        ("read", errno.EIO, 0, 3),
        ("open", errno.EACCES, 0, 3),
        ("read", errno.ESTALE, 0, 3),
    ],
)
def test_one_file_that_cannot_be_read(
    tmp_path: Path, *, fault: str, error: int, times: int, code: int
) -> None:
    """A busy file is read again; one that stays so fails for this night, and is answered in the next."""
    make_images(tmp_path / "photos", 3)
    (tmp_path / "photos/photo000.png").rename(tmp_path / "photos/sick.png")
    env = fault_environment(**{fault: error}, **({"times": times} if times else {}))

    async def scenario() -> tuple[Finished, Finished, list[int]]:
        async with Emulator() as emulator:
            first = await run_cli(*arguments(tmp_path, emulator), env=env)
            calls = len(emulator.calls)
            second = await run_cli(*arguments(tmp_path, emulator))
            return first, second, [calls, len(emulator.calls)]

    first, second, calls = asyncio.run(scenario())

    assert (first.code, second.code) == (code, 0), first.stderr
    assert calls == [3 if code == 0 else 2, 3]
    assert ("sick.png failed: The file" in first.stderr) == (code == 3)
