"""Rules of utils/lock.py: real processes, real locks."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from utils.lock import LockedError, LockHolder, hold_lock, read_holder

NOW = "2026-11-23T22:00:00Z"
HOLD = """
import sys
from pathlib import Path
from utils.lock import hold_lock
with hold_lock(Path(sys.argv[1]), wait_s=0, started_at="2026-11-23T22:00:00Z"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Let a process of its own hold the lock while the block lasts."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        try:
            yield holder
        finally:
            holder.kill()


def test_a_lock_is_held_by_one_process(tmp_path: Path) -> None:
    """While another process holds the lock it is refused, and the holder is named."""
    with (
        another_process(tmp_path / "lock") as other,
        pytest.raises(LockedError) as caught,
        hold_lock(tmp_path / "lock", wait_s=0, started_at=NOW),
    ):
        pass

    assert caught.value.holder == LockHolder(pid=other.pid, host=socket.gethostname(), started_at=NOW)


def test_a_killed_holder_leaves_nothing_locked(tmp_path: Path) -> None:
    """After kill -9 the lock is free at once, and the note of the dead is not believed."""
    with another_process(tmp_path / "lock") as other:
        other.send_signal(signal.SIGKILL)
        other.wait()

        assert read_holder(tmp_path / "lock") is None
        with hold_lock(tmp_path / "lock", wait_s=0, started_at=NOW):
            mine = read_holder(tmp_path / "lock")

    assert mine is not None
    assert mine.pid == os.getpid()


def test_waiting_takes_the_lock_when_it_is_free(tmp_path: Path) -> None:
    """With a wait the lock is taken over from a holder that ends."""
    with another_process(tmp_path / "lock") as other:
        other.send_signal(signal.SIGKILL)
        with hold_lock(tmp_path / "lock", wait_s=30, started_at=NOW):
            held = read_holder(tmp_path / "lock")

    assert held is not None


def test_a_released_lock_names_nobody(tmp_path: Path) -> None:
    """After the block the lock is free, by the kernel and by the note."""
    with hold_lock(tmp_path / "lock", wait_s=0, started_at=NOW):
        pass

    assert read_holder(tmp_path / "lock") is None
    with hold_lock(tmp_path / "lock", wait_s=0, started_at=NOW):
        pass


@pytest.mark.parametrize(
    "note", ["", "{", "[]", '{"pid": "x"}', json.dumps({"pid": 10**30, "host": "", "started_at": ""})]
)
def test_a_damaged_note_is_no_holder_or_a_harmless_one(tmp_path: Path, note: str) -> None:
    """Whatever stands in the note, reading it raises nothing and the lock can be had."""
    (tmp_path / "lock.holder").write_text(note)

    read_holder(tmp_path / "lock")
    with hold_lock(tmp_path / "lock", wait_s=0, started_at=NOW):
        held = read_holder(tmp_path / "lock")

    assert held is not None
