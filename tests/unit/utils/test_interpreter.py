"""Rules of utils/interpreter.py: what holds for threads, asked of the C library and the interpreter."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

HEAPS = """
import ctypes, sys, threading
from utils import interpreter

if sys.argv[1:]:
    interpreter.configure_interpreter()
libc, gate = ctypes.CDLL(None), threading.Barrier(8)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p

def work():
    gate.wait()
    libc.malloc(ctypes.c_size_t(100_000))
    gate.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
told = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, told)
libc.fclose(told)
"""


def heaps(*arguments: str) -> int:
    """Return how many heaps eight threads had."""
    ran = subprocess.run(
        [sys.executable, "-c", HEAPS, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ran.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others have no heap for each thread")
def test_threads_share_one_heap() -> None:
    """Each would else have its own, and memory grows with what is free in all of them."""
    assert heaps() > 1
    assert heaps("prepared") == 1


def test_the_event_loop_gets_its_turn_soon() -> None:
    """A thread that computes gives way within a millisecond."""
    prepare = "import sys; from utils import interpreter; interpreter.configure_interpreter()"
    code = f"{prepare}; print(sys.getswitchinterval() < 0.001)"

    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout == "True\n"


def test_a_run_prepares_both(tmp_path: Path) -> None:
    """Before the first thread begins."""
    code = (
        "import sys, main\n"
        f"main.main(['--input-dir', {str(tmp_path)!r}, '--output-dir', {str(tmp_path / 'out')!r},"
        " '--prompt', 'x', '--dry-run', '--quiet'])\n"
        "print(sys.getswitchinterval() < 0.001)"
    )

    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines()[-1] == "True"
