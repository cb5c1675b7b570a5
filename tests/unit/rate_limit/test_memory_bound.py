"""Rules of rate_limit/ for very many calls: the pacer remembers only those of the last minutes."""

import gc

import pytest

from errors import ApiFailure, ErrorKind
from rate_limit.pacer import Pacer, PacerSettings
from rate_limit.types import LearnedLimits

EVERY_S = 0.05


def count_objects(pacer: Pacer) -> int:
    """Return how many objects hang on the pacer."""
    seen, left = {id(pacer)}, [pacer.__dict__]
    while left:
        for other in gc.get_referents(left.pop()):
            if id(other) not in seen and not isinstance(other, type):
                seen.add(id(other))
                left.append(other)
    return len(seen)


def make_call(pacer: Pacer, now_s: float, *, is_failure: bool) -> None:
    """Let one call begin and end."""
    pacer.next_wait(now_s, 1_000.0)
    request = pacer.grant(now_s, 1_000.0, retry=False, waited_for=None)
    pacer.on_sent(request, now_s)
    if is_failure:
        pacer.on_failure(request, ApiFailure(kind=ErrorKind.SERVER, detail="503"), now_s, seconds=0.01)
    else:
        pacer.on_success(request, now_s + 0.01, input_tokens=1_100, seconds=0.01)


@pytest.mark.parametrize("learning", [False, True], ids=["dry", "learning"])
@pytest.mark.parametrize("ceiling", [None, 2_000.0], ids=["open", "under a ceiling"])
@pytest.mark.parametrize("one_fails_in", [10**9, 50], ids=["all well", "some fail"])
def test_what_is_remembered_does_not_grow(
    *, learning: bool, ceiling: float | None, one_fails_in: int
) -> None:
    """A run of 20,000 calls leaves no more behind than its first minutes."""
    settings = PacerSettings(
        rpm=ceiling, tpm=None, max_concurrent=10, outage_patience_s=900.0, is_adaptive=learning
    )
    pacer = Pacer(settings, LearnedLimits())
    after = {}
    for number in range(1, 20_001):
        make_call(pacer, number * EVERY_S, is_failure=number % one_fails_in == 0)
        if number in {5_000, 20_000}:
            after[number] = count_objects(pacer)

    assert after[20_000] < 1.1 * after[5_000]
