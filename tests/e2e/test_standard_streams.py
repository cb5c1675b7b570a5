"""Rules of the real program whose output goes nowhere: the work, the documents and the exit code stay."""

import asyncio
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from tests.emulator import Emulator
from tests.support.cli import MAIN, document, environment, files_below
from tests.support.cli_cases import arguments, make_images, until_calls

pytestmark = pytest.mark.e2e

REDIRECTIONS = {
    "no stdout": ">&-",
    "no stderr": "2>&-",
    "no stream at all, as a daemon": "<&- >&- 2>&-",
    "a full disk for stderr": "2>/dev/full",
    "a full disk for both": ">/dev/full 2>/dev/full",
    "stderr that is open for reading only": "2</dev/null",
    "quiet, no stderr": "--quiet 2>&-",
    "verbose, no stderr": "--verbose 2>&-",
    "JSON, no stderr": "--log-json 2>&-",
    "an encoding without the path's letters": "env:PYTHONIOENCODING=ascii",
}


def typed(folder: Path, emulator: Emulator, *more: str) -> list[str]:
    """Return the words of a run, as the kernel gets them."""
    return [sys.executable, str(MAIN), *map(str, arguments(folder, emulator, *more))]


async def exit_code_of(process: asyncio.subprocess.Process) -> int:
    """Wait for a process that was started without pipes of ours."""
    async with asyncio.timeout(60):
        return await process.wait()


@pytest.mark.parametrize("redirection", REDIRECTIONS.values(), ids=REDIRECTIONS)
@pytest.mark.parametrize("code", [0, 3])
def test_output_that_goes_nowhere(tmp_path: Path, redirection: str, code: int) -> None:
    """Every image is asked about once, the documents stand, and the exit code is that of the work."""
    folder = tmp_path / "Größe"
    make_images(folder / "photos", 4)
    if code:
        (folder / "photos" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    name, _, value = redirection.removeprefix("env:").partition("=")
    extra = {name: value} if redirection.startswith("env:") else {}
    shell = f'exec "$@" {"" if extra else redirection}'

    async def scenario() -> tuple[int, Emulator]:
        async with Emulator() as emulator:
            words = ["-c", shell, "bash", *typed(folder, emulator)]
            process = await asyncio.create_subprocess_exec("/bin/bash", *words, env=environment(extra))
            return await exit_code_of(process), emulator

    ended, emulator = asyncio.run(scenario())

    assert ended == code
    assert len(emulator.calls) == 4
    assert document(folder / "out", "processing_stats.json")["exit_code"] == code
    assert len(files_below(folder / "out" / "successful")) == 4


@contextmanager
def reader_of_a_pipe(*, lines: int) -> Iterator[tuple[IO[bytes], Callable[[], None]]]:
    """Yield a stream to write to, and what makes its reader go away after some lines."""
    reading, writing = os.pipe()
    reader, writer = os.fdopen(reading, "rb"), os.fdopen(writing, "wb")

    def go_away() -> None:
        for _ in range(lines):
            reader.readline()
        reader.close()

    with writer:
        yield writer, go_away


@pytest.mark.parametrize("lines", [0, 1, 2])
@pytest.mark.parametrize("streams", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_a_reader_that_goes_away(tmp_path: Path, streams: tuple[str, ...], lines: int) -> None:
    """A reader that ends before, at the start of or during a run ends nothing but the output."""
    make_images(tmp_path / "photos", 6)
    if "stderr" not in streams:
        lines = 0  # the summary comes at the end

    async def scenario() -> tuple[int, Emulator]:
        async with Emulator(latency_s=0.3) as emulator:
            with reader_of_a_pipe(lines=lines) as (writer, go_away):
                stdout, stderr = (
                    writer.fileno() if name in streams else subprocess.DEVNULL
                    for name in ("stdout", "stderr")
                )
                process = await asyncio.create_subprocess_exec(
                    *typed(tmp_path, emulator, "--max-concurrent", "2"),
                    env=environment(),
                    stdout=stdout,
                    stderr=stderr,
                )
            await asyncio.to_thread(go_away)
            return await exit_code_of(process), emulator

    code, emulator = asyncio.run(scenario())

    assert code == 0
    assert len(emulator.calls) == 6
    assert document(tmp_path / "out", "processing_stats.json")["exit_code"] == 0


@pytest.mark.parametrize("hangup", ["comes", "is ignored, as with nohup"])
def test_a_terminal_that_closes(tmp_path: Path, hangup: str) -> None:
    """A terminal that closes in mid-run, with its bar on it, ends neither the run nor its documents."""
    make_images(tmp_path / "photos", 6)
    ours, theirs = pty.openpty()

    def become_session() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if hangup != "comes":
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def scenario() -> tuple[int, Emulator]:
        async with Emulator(latency_s=0.3) as emulator:
            process = await asyncio.create_subprocess_exec(
                *typed(tmp_path, emulator, "--max-concurrent", "2"),
                env=environment(),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                preexec_fn=become_session,  # leads a session, as the shell of a window does
            )
            os.close(theirs)
            reader = threading.Thread(target=read_terminal, args=(ours,), daemon=True)
            reader.start()
            await until_calls(emulator, 2)
            os.close(ours)
            return await exit_code_of(process), emulator

    code, emulator = asyncio.run(scenario())

    assert code == 0
    assert len(emulator.calls) == 6
    assert document(tmp_path / "out", "processing_stats.json")["exit_code"] == 0


def read_terminal(descriptor: int) -> None:
    """Read what the program draws, as a terminal does, until the terminal is closed."""
    with suppress(OSError):
        while os.read(descriptor, 4096):
            pass


@pytest.mark.parametrize(
    ("redirection", "code"), [(">/dev/full", 1), (">&-", 0), ("| head -c 1 >/dev/null", 0)]
)
def test_a_report_that_cannot_be_written(tmp_path: Path, redirection: str, code: int) -> None:
    """``--status`` has no other work than its report: a full disk is an error, a reader that left is none."""
    make_images(tmp_path / "photos", 1)
    command = [sys.executable, str(MAIN), "--output-dir", str(tmp_path / "out")]
    dry = ["--dry-run", "--input-dir", str(tmp_path / "photos"), "--prompt", "x"]
    subprocess.run([*command, *dry], env=environment(), check=True, capture_output=True)
    shell = f'"$@" {redirection}; exit "${{PIPESTATUS[0]}}"'

    done = subprocess.run(
        ["/bin/bash", "-c", shell, "bash", *command, "--status"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code
    assert ("No space left" in done.stderr) == bool(code)
