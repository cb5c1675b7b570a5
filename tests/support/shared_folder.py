"""The folder ``shared`` with cases from the field, which is no part of the checkout."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

VARIABLE = "GBP_SHARED"


def find_shared(name: str) -> Path:
    """Return where a folder of ``shared`` is: where the variable says, else beside the checkout."""
    named = os.environ.get(VARIABLE)  # noqa: TID251 - it is about the tests, not about the program
    return Path(named or ROOT.parent / "shared") / name


def copy_shared(name: str, target: Path) -> Path:
    """Copy a folder of ``shared`` and return the copy; skip the test loudly if there is none."""
    source = find_shared(name)
    if not source.is_dir():
        pytest.skip(f"NOT RUN: {source} is missing; put it there, or name its parent with {VARIABLE}")
    return Path(shutil.copytree(source, target / name))


def build_preloads(folder: Path) -> None:
    """Compile the C files of a folder into libraries that stand in for a file system's faults."""
    for source in folder.glob("*.c"):
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("NOT RUN: there is no C compiler (cc)")
        target = source.with_suffix(".so")
        subprocess.run([compiler, "-shared", "-fPIC", "-o", target, source, "-ldl"], check=True)


def find_fuse_python() -> str | None:
    """Return an interpreter with fusepy, as ``FUSE_PYTHON`` or this one; None if neither has it."""
    named = os.environ.get("FUSE_PYTHON")  # noqa: TID251 - as above
    return named or (sys.executable if importlib.util.find_spec("fuse") else None)
