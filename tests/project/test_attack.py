"""Rules of the attacks themselves: harm is seen, and a seed repeats."""

import random
from pathlib import Path

import pytest

from tests.attack import __main__ as attack
from tests.attack.keys import draw_key, escape_key, find_key
from tests.attack.mutations import mutate
from tests.attack.payments import Payments
from tests.attack.tally import Harm, Tally
from tests.emulator import LoggedRequest
from tests.emulator.log import ANSWERED


def test_harm_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And prints the command that repeats the batch."""
    harmed = Tally(batches=1, cases=1)
    harmed.note(Harm.LOST, "an answer")
    monkeypatch.setattr(attack, "play_all", lambda jobs, **_: ((job, harmed) for job in jobs))
    monkeypatch.setattr("sys.argv", ["tests.attack", "--only", "names", "--rounds", "1", "--seed", "7"])

    assert attack.main() == 1

    out = capsys.readouterr().out
    assert "names, seed 7: lost: an answer" in out
    assert "python -m tests.attack --only names --seed 7 --rounds 1" in out


def _call(sha256: str) -> LoggedRequest:
    return LoggedRequest(
        at_s=0.0, wall_time="", operation="generateContent", image_sha256=sha256, prompt="p", outcome=ANSWERED
    )


class _Service:
    def __init__(self, *hashes: str) -> None:
        self.calls = [_call(sha256) for sha256 in hashes]


def test_lost_and_doubled_answers_are_seen(tmp_path: Path) -> None:
    """An answer without a line is lost; two calls for one image are one too many unless one was in flight."""
    lost, doubled, in_flight = Tally(), Tally(), Tally()

    Payments(_Service("a"), tmp_path).note_harms(lost, may_repeat=0)
    Payments(_Service("a", "a"), tmp_path).note_harms(doubled, may_repeat=0)
    Payments(_Service("a", "a"), tmp_path).note_harms(in_flight, may_repeat=1)

    assert lost.harms == {Harm.LOST: 1}
    assert doubled.harms == {Harm.LOST: 1, Harm.DOUBLED: 1}
    assert in_flight.harms == {Harm.LOST: 1}


def test_the_key_is_found_plainly_and_escaped() -> None:
    """Not in other words of the same form."""
    key, other = draw_key(random.Random(1)), draw_key(random.Random(2))

    assert find_key(f'{{"a": "{key}"}}'.encode(), key)
    assert find_key(f'{{"a": "{escape_key(key)}"}}'.encode(), key)
    assert not find_key(f"{other} {escape_key(other)}".encode(), key)


def test_a_seed_draws_the_same_mutations() -> None:
    """A failure can be repeated."""
    document = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}

    first, again = ([mutate(document, random.Random(seed)) for seed in range(200)] for _ in range(2))

    assert first == again
    assert len({name for name, _ in first}) > 20
