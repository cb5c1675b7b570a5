"""Faults of other disks and shares, for a program that is started: see ``faults.c``."""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("faults.c")


def fault_environment(**faults: int | str) -> dict[str, str]:
    """Return variables that give a program these faults (``flock=errno.ENOLCK``); skip without a compiler."""
    return {
        "LD_PRELOAD": str(_build_library()),
        **{f"FAULT_{name.upper()}": str(value) for name, value in faults.items()},
    }


@cache
def _build_library() -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("NOT TESTED: faults of other disks need a C compiler (cc)")
    folder = Path(tempfile.mkdtemp(prefix="gemini-batch-faults-"))
    library = folder / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
    return library
