"""Rules of utils/standard_streams.py: a stream writes what it can, and never raises."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PROGRAM = """
import os, sys
sys.path.insert(0, {root!r})
from utils.standard_streams import output_error, protect_standard_streams
protect_standard_streams()
{body}
"""


def run_shell(shell: str, body: str) -> subprocess.CompletedProcess[str]:
    """Run a small program that protects its streams, with these redirections."""
    program = PROGRAM.format(root=str(ROOT), body=body)
    words = ["/bin/bash", "-c", f'"$@" {shell}', "bash", sys.executable, "-c", program]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("shell", ["<&- >&- 2>&-", ">&- 2>&-", "2>&-", "<&-", "", "2</dev/null"])
def test_no_file_gets_the_descriptor_of_a_missing_stream(shell: str, tmp_path: Path) -> None:
    """A file that is opened afterwards is not where output goes."""
    body = f"file = open({str(tmp_path / 'data')!r}, 'w'); print('out'); print('err', file=sys.stderr)"

    done = run_shell(shell, body + "; sys.stdout.flush(); sys.exit(file.fileno() < 3)")

    assert done.returncode == 0
    assert (tmp_path / "data").read_bytes() == b""


@pytest.mark.parametrize(
    ("shell", "error"), [(">/dev/full", "28"), (">&-", "None"), ("| true", "None"), (">/dev/null", "None")]
)
def test_the_end_of_the_interpreter_adds_no_error(shell: str, error: str) -> None:
    """Python flushes its streams when it ends; that changes neither the exit code nor stderr."""
    body = "print('x' * 100_000); e = output_error(); print(e and e.errno, file=sys.stderr)"

    done = run_shell(f"{shell}; exit ${{PIPESTATUS[0]}}", body)

    assert (done.returncode, done.stderr.strip()) == (0, error)


def test_a_pipe_that_does_not_block() -> None:
    """A slow reader of a pipe that another program set not to block still gets everything."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    program = PROGRAM.format(root=str(ROOT), body="sys.stdout.write('x' * 1_000_000)")
    with os.fdopen(reading, "rb") as reader:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=writing)
        os.close(writing)
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(reader.read()))
        thread.start()
        thread.join(30)

    assert process.wait(30) == 0
    assert len(received[0]) == 1_000_000


def test_letters_that_the_encoding_lacks() -> None:
    """A name that the terminal cannot show is written with escapes."""
    program = PROGRAM.format(root=str(ROOT), body="print('Größe')")

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "Gr\\xf6\\xdfe\n"
