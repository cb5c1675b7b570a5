"""Rules of utils/soft_lock.py: who has ended, and who may be alive."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from utils.soft_lock import is_held, release, try_acquire

HOLDER: dict[str, str | int] = {"pid": 0, "host": "here", "started_at": "2026-11-23T22:00:00Z"}
TAKE = """
import os, sys
from pathlib import Path
from utils.soft_lock import try_acquire
assert try_acquire(Path(sys.argv[1]), {"pid": os.getpid(), "host": "here", "started_at": "now"})
"""


@pytest.fixture
def dead(tmp_path: Path) -> dict[str, str]:
    """The record that a killed process of this machine left in ``lock``."""
    subprocess.run([sys.executable, "-c", TAKE, tmp_path / "lock"], check=True, cwd=ROOT)
    record: dict[str, str] = json.loads((tmp_path / "lock").read_text())
    return record


def test_one_holds_it_until_it_is_released(tmp_path: Path) -> None:
    """A second one is refused while the first is alive, and gets it afterwards."""
    path, me = tmp_path / "lock", {**HOLDER, "pid": os.getpid()}

    assert try_acquire(path, me)
    assert is_held(path)
    assert not try_acquire(path, me)
    release(path, path.read_bytes())
    assert not is_held(path)
    assert try_acquire(path, me)


def test_a_dead_process_of_this_machine_holds_nothing(tmp_path: Path, dead: dict[str, str]) -> None:
    """What it left is taken over, and nothing else remains."""
    assert not is_held(tmp_path / "lock")
    assert try_acquire(tmp_path / "lock", {**HOLDER, "pid": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("changed", "is_alive"),
    [
        ({"machine": "another"}, True),
        ({"machine": ""}, True),
        ({"namespace": "pid:[1]"}, True),
        ({"boot": "an earlier one"}, False),
        ({"boot": "an earlier one", "namespace": "pid:[1]"}, False),
        ({"start": "1"}, False),
        ({"machine": "another", "boot": "an earlier one"}, True),
    ],
)
def test_only_who_has_certainly_ended_is_left_out(
    tmp_path: Path, dead: dict[str, str], changed: dict[str, str], *, is_alive: bool
) -> None:
    """Another machine or container cannot be looked up; an earlier boot of this machine is over."""
    path = tmp_path / "lock"
    path.write_text(json.dumps({**dead, **changed}))

    assert is_held(path) == is_alive
    assert try_acquire(path, {**HOLDER, "pid": 1}) != is_alive


@pytest.mark.parametrize("text", ["", "{", "[]", "4321\nhost\n", '{"pid": "x"}', '{"pid": 1e400}'])
def test_a_damaged_file_is_held_by_an_unknown(tmp_path: Path, text: str) -> None:
    """What cannot be read may be a lock that is being written: it is never taken over."""
    (tmp_path / "lock").write_text(text)

    assert is_held(tmp_path / "lock")
    assert not try_acquire(tmp_path / "lock", HOLDER)
    assert (tmp_path / "lock").read_text() == text
