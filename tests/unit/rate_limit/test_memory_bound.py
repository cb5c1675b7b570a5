"""Rules of pacing/ for very many calls: what it remembers of them lies in the last minutes."""

import gc

import pytest

from errors import ApiFailure, ErrorKind
from rate_limit.pacer import Pacer, Settings
from rate_limit.types import LearnedLimits

EVERY_S = 0.05


def remembered(pacer: Pacer) -> int:
    """Return how many objects hang on the pacer."""
    seen, left = {id(pacer)}, [pacer.__dict__]
    while left:
        for other in gc.get_referents(left.pop()):
            if id(other) not in seen and not isinstance(other, type):
                seen.add(id(other))
                left.append(other)
    return len(seen)


def call(pacer: Pacer, now_s: float, *, fails: bool) -> None:
    """Let one call begin and end."""
    pacer.wait(now_s, 1_000.0)
    sending = pacer.grant(now_s, 1_000.0, retry=False, held=None)
    pacer.sent(sending, now_s)
    if fails:
        pacer.failed(sending, ApiFailure(kind=ErrorKind.SERVER, detail="503"), now_s, seconds=0.01)
    else:
        pacer.answered(sending, now_s + 0.01, input_tokens=1_100, seconds=0.01)


@pytest.mark.parametrize("learning", [False, True], ids=["dry", "learning"])
@pytest.mark.parametrize("ceiling", [None, 2_000.0], ids=["open", "under a ceiling"])
@pytest.mark.parametrize("one_fails_in", [10**9, 50], ids=["all well", "some fail"])
def test_what_is_remembered_does_not_grow(
    *, learning: bool, ceiling: float | None, one_fails_in: int
) -> None:
    """A night of 20,000 calls leaves no more behind than its first minutes."""
    settings = Settings(rpm=ceiling, tpm=None, max_concurrent=10, outage_patience_s=900.0, learning=learning)
    pacer = Pacer(settings, LearnedLimits())
    after = {}
    for number in range(1, 20_001):
        call(pacer, number * EVERY_S, fails=number % one_fails_in == 0)
        if number in {5_000, 20_000}:
            after[number] = remembered(pacer)

    assert after[20_000] < 1.1 * after[5_000]
