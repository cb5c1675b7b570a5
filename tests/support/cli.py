"""Start of the real program in tests, and its output."""

import asyncio
import atexit
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

MAIN = ROOT / "main.py"
KEY = "test-key"
_STATE = tempfile.TemporaryDirectory(prefix="gemini-batch-state-")
atexit.register(_STATE.cleanup)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run of the program that has ended."""

    code: int
    stdout: str
    stderr: str


def environment(extra: Mapping[str, str] | None = None, *, key: str | None = KEY) -> dict[str, str]:
    """Return a small, clean environment without the developer's own settings and keys."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}  # noqa: TID251
    # A test must not use the limits that the run of another test has learned.
    state_dir = tempfile.mkdtemp(dir=_STATE.name)
    clean = {**kept, "LANG": "C.UTF-8", "NO_PROXY": "127.0.0.1", "GEMINI_BATCH_STATE_DIR": state_dir}
    return {**clean, **({"GEMINI_API_KEY": key} if key else {}), **(extra or {})}


async def start(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    key: str | None = KEY,
    cwd: Path | None = None,
) -> asyncio.subprocess.Process:
    """Start ``python main.py`` with these arguments as a process of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(MAIN),
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(env, key=key),
        cwd=cwd,
    )


async def finish(process: asyncio.subprocess.Process, *, within_s: float = 120.0) -> Finished:
    """Wait for the program's end; a run that hangs is killed and fails the test."""
    try:
        async with asyncio.timeout(within_s):
            stdout, stderr = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return Finished(
        code=process.returncode,
        stdout=stdout.decode(errors="replace"),
        stderr=stderr.decode(errors="replace"),
    )


async def run_cli(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    key: str | None = KEY,
    cwd: Path | None = None,
) -> Finished:
    """Run the program to its end."""
    return await finish(await start(*arguments, env=env, key=key, cwd=cwd))


def document(output: Path, name: str) -> Any:
    """Return a metadata document as parsed JSON."""
    return json.loads((output / "metadata" / name).read_text(encoding="utf-8"))


def files_below(folder: Path) -> set[str]:
    """Return the relative paths of all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
