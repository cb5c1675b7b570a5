"""Rules of files and paths that are none: each ends in seconds, with a sentence and without a traceback."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import MAIN, environment, finish, run_cli, start
from tests.support.cli_cases import arguments, make_images
from tests.support.faults import fault_environment

pytestmark = pytest.mark.e2e

LONG = "n" * 300
EDITS = ("--enable-prompt-optimization", "--prompt-edits")
DOTS = "a" + ".a" * 120_000 + " = 1\n"
NESTED = "a = " + "[" * 200_000
DIGITS = "a = " + "1" * 200_000

Case = tuple[Sequence[str], str]
"""Flags, in which FOLDER stands for the test's; and a part of the sentence."""

CASES: dict[str, Case] = {
    "prompt: a pipe that stays empty": (("--prompt", "@FOLDER/pipe"), "gives nothing"),
    "prompt: no end": (("--prompt", "@/dev/zero"), "larger than"),
    "prompt: nothing": (("--prompt", "@/dev/null"), "--prompt must"),
    "prompt: a directory": (("--prompt", "@FOLDER"), "cannot be read"),
    "prompt: long": (("--prompt", f"@FOLDER/{LONG}"), "File name too long"),
    "prompt: of a user": (("--prompt", "@~nosuchuser/x"), "cannot be read"),
    "edits: a pipe": ((*EDITS, "FOLDER/pipe"), "not a regular file"),
    "edits: no end": ((*EDITS, "/dev/zero"), "not a regular file"),
    "edits: long": ((*EDITS, f"FOLDER/{LONG}"), "File name too long"),
    "edits: dots": ((*EDITS, "FOLDER/dots.toml"), "dots"),
    "edits: nested": ((*EDITS, "FOLDER/nested.toml"), "is not TOML"),
    "edits: digits": ((*EDITS, "FOLDER/digits.toml"), "is not TOML"),
    "job: a pipe": (("--job", "FOLDER/pipe"), "cannot be read"),
    "job: no end": (("--job", "/dev/zero"), "bytes"),
    "job: dots": (("--job", "FOLDER/dots.toml"), "dots"),
    "job: nested": (("--job", "FOLDER/nested.toml"), "no TOML"),
    "job: digits": (("--job", "FOLDER/digits.toml"), "no TOML"),
    "log: a pipe": (("--log-file", "FOLDER/pipe"), "--log-file"),
    "log: long": (("--log-file", f"FOLDER/{LONG}.log"), "--log-file must"),
    "log: below a long one": (("--log-file", f"FOLDER/{LONG}/x.log"), "--log-file must"),
    "log: no such home": (("--log-file", "~nosuchuser/x.log"), "no such home"),
    "output: long": (("--output-dir", f"FOLDER/{LONG}"), "--output-dir must"),
    "output: no such home": (("--output-dir", "~nosuchuser/x"), "no such home"),
    "state: no such home": (("--state-dir", "~nosuchuser/x"), "no such home"),
    "input: long": (("--input-dir", f"FOLDER/{LONG}"), "--input-dir must"),
    "input: a pipe": (("--input-dir", "FOLDER/pipe"), "--input-dir must"),
}


def prepare(folder: Path) -> None:
    """Write the files that the cases name."""
    make_images(folder / "photos", 1)
    os.mkfifo(folder / "pipe")
    (folder / "dots.toml").write_text(DOTS)
    (folder / "nested.toml").write_text(NESTED)
    (folder / "digits.toml").write_text(DIGITS)


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_file_is_a_sentence(tmp_path: Path, name: str) -> None:
    """Exit code 2 within seconds, whatever the flag names."""
    prepare(tmp_path)
    flags, words = CASES[name]
    base = ["--dry-run", "--input-dir", str(tmp_path / "photos"), "--output-dir", str(tmp_path / "out")]
    if flags[0] != "--prompt":
        base += ["--prompt", "Describe it"]

    async def scenario() -> tuple[int, str]:
        async with asyncio.timeout(20):
            done = await run_cli(*base, *(flag.replace("FOLDER", str(tmp_path)) for flag in flags))
            return done.code, done.stderr

    code, stderr = asyncio.run(scenario())

    assert code == 2, stderr
    assert words in stderr
    assert "Traceback" not in stderr
    assert len(stderr.splitlines()) == 1


def link_to_zero(path: Path) -> None:
    """Make a ``.env`` without end."""
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (os.mkfifo, 2),
        (link_to_zero, 2),
        (lambda path: path.write_bytes(bytes(2_000_000)), 2),
        (lambda path: path.symlink_to("/dev/null"), 0),
        (lambda path: path.mkdir(), 0),
    ],
    ids=["pipe", "no end", "large", "null", "directory"],
)
def test_a_dotenv_that_is_no_file_holds_nothing_up(
    tmp_path: Path, make: Callable[[Path], object], code: int
) -> None:
    """What cannot be read is a sentence; what stands there to hide a file, as containers do, is empty."""
    make_images(tmp_path / "photos", 1)
    make(tmp_path / ".env")

    async def scenario() -> tuple[int, str]:
        async with asyncio.timeout(20):
            flags = ("--dry-run", "--input-dir", "photos", "--output-dir", "out", "--prompt", "x")
            done = await run_cli(*flags, cwd=tmp_path)
            return done.code, done.stderr

    found, stderr = asyncio.run(scenario())

    assert found == code, stderr
    assert code == 0 or ".env cannot be read" in stderr


def test_a_prompt_may_come_through_a_pipe(tmp_path: Path) -> None:
    """``--prompt @/dev/stdin`` and ``@<(command)`` are read to their end."""
    make_images(tmp_path / "photos", 1)

    async def scenario() -> int:
        reading, writing = os.pipe()
        os.write(writing, b"Describe it")
        os.close(writing)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, MAIN, "--dry-run", "--prompt", f"@/dev/fd/{reading}"),
            *("--input-dir", str(tmp_path / "photos"), "--output-dir", str(tmp_path / "out")),
            pass_fds=[reading],
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
        )
        os.close(reading)
        return (await finish(process)).code

    assert asyncio.run(scenario()) == 0


def test_an_output_that_becomes_read_only_is_told_with_what_to_do(tmp_path: Path) -> None:
    """As after an error of the disk: exit code 1, a sentence, and no "bug"; the next run goes on."""
    make_images(tmp_path / "photos", 6)
    marker = tmp_path / "read-only"
    env = fault_environment(read_only=str(marker))

    async def scenario() -> tuple[int, str, int, int]:
        async with Emulator(latency_s=0.4) as emulator:
            process = await start(*arguments(tmp_path, emulator, "--max-concurrent", "2"), env=env)
            async with asyncio.timeout(30):
                await emulator.log.until_arrived(5)
            marker.touch()
            first = await finish(process)
            marker.unlink()
            second = await run_cli(*arguments(tmp_path, emulator))
            return first.code, first.stderr, second.code, len(emulator.calls)

    code, stderr, second, calls = asyncio.run(scenario())

    assert code == 1, stderr
    assert "Read-only file system" in stderr
    assert "bug in the program" not in stderr
    assert "Traceback" not in stderr
    assert "Next: " in stderr.splitlines()[-1]
    assert (second, calls) == (0, 6 + len(set(re.findall(r"answer for (.+?) was lost", stderr))))
