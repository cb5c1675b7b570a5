"""Rules that cases from the field hold: programs of ``shared/field-cases`` judge the real command line."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.shared_folder import build_preloads, copy_shared, find_fuse_python, find_shared

pytestmark = pytest.mark.e2e

TIMEOUT_S = 260
QUICK = ("c13_please_retry_400", "c18_picture_in_text", "c20_quoted_key")
"""Cases of a few seconds, which every ``make test`` runs; the others are for ``make field-test``."""
NEEDS_FUSE = ("c33", "c34", "c36", "c38", "c39", "c48", "c06")
"""Cases whose file system, or whose images, another interpreter makes."""


def _names() -> list[str]:
    return sorted(path.stem for path in find_shared("field-cases").glob("c*.py"))


def _cases() -> Sequence[object]:
    quick = [pytest.param(name) for name in QUICK]
    return quick + [pytest.param(name, marks=pytest.mark.field) for name in _names() if name not in QUICK]


def _environment(folder: Path, work: Path, fuse_python: str | None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}  # noqa: TID251
    return {
        **kept,
        **({"FUSE_PYTHON": fuse_python} if fuse_python else {}),
        "GBP_DIR": str(ROOT),
        "GBP_PYTHON": sys.executable,
        "CASE_WORK": str(work),
        "TMPDIR": str(folder),
    }


@pytest.mark.parametrize("name", _cases())
def test_a_case_from_the_field(tmp_path: Path, name: str) -> None:
    """The last verdict of the case is "ok"."""
    folder = copy_shared("field-cases", tmp_path)
    if not (folder / f"{name}.py").is_file():
        pytest.skip(f"NOT RUN: {find_shared('field-cases') / name}.py is missing")
    fuse_python = find_fuse_python()
    if fuse_python is None and name.startswith(NEEDS_FUSE):
        pytest.skip(
            "NOT RUN: there is no Python with fusepy, tifffile, numpy and Pillow; name one: FUSE_PYTHON"
        )
    build_preloads(folder)
    interpreter = fuse_python if fuse_python and name.startswith("c06") else sys.executable

    async def scenario() -> tuple[str, str]:
        process = await asyncio.create_subprocess_exec(
            *(interpreter, f"{name}.py"),
            cwd=folder,
            env=_environment(tmp_path, tmp_path / "work", fuse_python),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                stdout, stderr = await process.communicate()
        except TimeoutError:
            process.kill()
            stdout, stderr = await process.communicate()
        return stdout.decode(errors="replace"), stderr.decode(errors="replace")

    stdout, stderr = asyncio.run(scenario())

    verdicts = [line for line in stdout.splitlines() if line.startswith("VERDICT")]
    assert verdicts, stdout[-2000:] + stderr[-2000:]
    assert verdicts[-1].startswith("VERDICT ok"), stdout[-3000:]


def test_there_are_cases() -> None:
    """Without the folder the cases are not run, which is said and is no success."""
    if not _names():
        pytest.skip(f"NOT RUN: {find_shared('field-cases')} is missing; name its parent with GBP_SHARED")
    assert set(QUICK) <= set(_names())
