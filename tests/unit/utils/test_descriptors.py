"""Rules of utils/descriptors.py, each in a process of its own: limits are those of a process."""

import resource
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

CODE = """
import resource, sys
from utils.descriptors import make_room
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(make_room(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "enough"),
    [(64, 1_000, 300, True), (64, 64, 300, False), (500, 1_000, 300, True), (64, 200, 300, False)],
)
def test_the_soft_limit_is_raised_as_far_as_needed(
    soft: int, hard: int, wanted: int, *, enough: bool
) -> None:
    """Never above the hard limit, never lowered, and what is returned can be opened."""
    command = [sys.executable, "-c", CODE, str(soft), str(hard), str(wanted)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    room, limit = map(int, done.stdout.split())

    assert (room >= wanted) == enough
    assert soft <= limit <= hard
    assert room <= limit


def test_the_limit_of_this_process_stays() -> None:
    """The check above changed no limit here."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 64
