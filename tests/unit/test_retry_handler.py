"""Rules of retry_handler.py."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ApiFailure, ErrorKind, FatalError, StopReason
from retry_handler import HINT_JITTER, POLICIES, RetryEvent, RetryState, Verdict, backoff_s, run
from tests.support.fakes import MaxJitter, MinJitter
from tests.support.virtual_loop import run_virtual

RETRIED = {ErrorKind.RATE_LIMITED, ErrorKind.SERVER, ErrorKind.NETWORK, ErrorKind.TIMEOUT}
NEVER = {ErrorKind.PROHIBITED, ErrorKind.FILE_UNAVAILABLE, ErrorKind.INVALID_REQUEST}


def failure(kind: ErrorKind, hint_s: float | None = None) -> ApiFailure:
    """Return a failure of this kind."""
    return ApiFailure(kind=kind, detail=f"scripted {kind}", retry_after_s=hint_s)


def new_retry_state(max_retries: int = 5, timeout_s: float = 100.0) -> RetryState:
    """Return what an image may spend."""
    return RetryState(max_retries=max_retries, timeout_s=timeout_s, max_timeout_s=600.0)


class Calls:
    """A call that fails as scripted, then answers; notes when it was made and with what deadline."""

    def __init__(self, *failures: ApiFailure | FatalError) -> None:
        self.failures = list(failures)
        self.times: list[float] = []
        self.deadlines: list[float] = []
        self.events: list[RetryEvent] = []

    async def __call__(self, timeout_s: float) -> str:
        """Fail or answer, as scripted."""
        self.times.append(asyncio.get_running_loop().time())
        self.deadlines.append(timeout_s)
        if self.failures:
            raise self.failures.pop(0)
        return "answer"

    async def run(self, retry_state: RetryState, rng: random.Random | None = None) -> str:
        """Go through the retry handler."""
        return await run(
            self,
            retry_state=retry_state,
            rng=rng or MaxJitter(),
            sleep=asyncio.sleep,
            on_retry=self.events.append,
        )


def test_every_kind_has_a_policy() -> None:
    """The table is total: no failure can come for which nothing is decided."""
    assert set(POLICIES) == set(ErrorKind)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_only_transient_kinds_are_called_again(kind: ErrorKind) -> None:
    """A kind that waiting cannot cure gets exactly one call."""
    calls = Calls(failure(kind))

    if kind in RETRIED:
        assert run_virtual(calls.run(new_retry_state())) == "answer"
        assert len(calls.times) == 2
    else:
        with pytest.raises(ApiFailure):
            run_virtual(calls.run(new_retry_state()))
        assert len(calls.times) == 1
        assert POLICIES[kind].verdict is (Verdict.FAIL if kind in NEVER else Verdict.REPAIR)


def test_waits_double_and_are_exact() -> None:
    """Standard backoff waits at most 1, 2, 4, … seconds; 429s without a hint at most 8, 16, 32."""
    standard = Calls(*[failure(ErrorKind.SERVER)] * 4)
    limited = Calls(*[failure(ErrorKind.RATE_LIMITED)] * 3)

    run_virtual(standard.run(new_retry_state()))
    run_virtual(limited.run(new_retry_state()))

    assert standard.times == [0.0, 1.0, 3.0, 7.0, 15.0]
    assert limited.times == [0.0, 8.0, 24.0, 56.0]


def test_a_hint_is_never_undercut() -> None:
    """After a 429 that names 20 s the next try comes after 20 s, even with the luckiest jitter."""
    calls = Calls(failure(ErrorKind.RATE_LIMITED, 20.0))

    run_virtual(calls.run(new_retry_state(), MinJitter()))

    assert calls.times == [0.0, 20.0]


def test_a_timeout_is_retried_with_more_time_up_to_the_cap() -> None:
    """Each timed-out try gets 1.6 times the deadline, never more than the maximum."""
    calls = Calls(*[failure(ErrorKind.TIMEOUT)] * 5)

    run_virtual(calls.run(new_retry_state(timeout_s=200.0)))

    assert calls.deadlines == pytest.approx([200.0, 320.0, 512.0, 600.0, 600.0, 600.0])


def test_other_failures_leave_the_deadline() -> None:
    """A 503 says nothing about how long a call takes."""
    calls = Calls(failure(ErrorKind.SERVER))

    run_virtual(calls.run(new_retry_state(timeout_s=200.0)))

    assert calls.deadlines == [200.0, 200.0]


def test_the_budget_counts_all_transient_kinds_together() -> None:
    """Two 503s and one reset spend three retries; the fourth failure is final."""
    kinds = [ErrorKind.SERVER, ErrorKind.SERVER, ErrorKind.NETWORK, ErrorKind.TIMEOUT]
    calls = Calls(*map(failure, kinds))

    with pytest.raises(ApiFailure) as caught:
        run_virtual(calls.run(new_retry_state(max_retries=3)))

    assert caught.value.kind is ErrorKind.TIMEOUT
    assert len(calls.times) == 4


def test_the_budget_outlives_a_call() -> None:
    """A second prompt of the same image does not earn new retries."""
    retry_state = new_retry_state(max_retries=2)
    first = Calls(failure(ErrorKind.SERVER), failure(ErrorKind.BLOCKED))
    second = Calls(*[failure(ErrorKind.SERVER)] * 2)

    with pytest.raises(ApiFailure):
        run_virtual(first.run(retry_state))
    with pytest.raises(ApiFailure):
        run_virtual(second.run(retry_state))

    assert len(first.times) + len(second.times) == 4


def test_no_retries_means_one_call() -> None:
    """``--max-retries 0`` makes one call and gives its failure back."""
    calls = Calls(failure(ErrorKind.SERVER))

    with pytest.raises(ApiFailure):
        run_virtual(calls.run(new_retry_state(max_retries=0)))

    assert calls.times == [0.0]


def test_what_ends_the_run_passes_through_at_once() -> None:
    """A FatalError is not an ApiFailure: no retry predicate can catch it."""
    calls = Calls(FatalError(StopReason.KEY_INVALID, "no"))

    with pytest.raises(FatalError):
        run_virtual(calls.run(new_retry_state()))

    assert calls.times == [0.0]


def test_retries_of_images_that_fail_together_do_not_mix() -> None:
    """Ten images that fail at once each get their own count."""

    async def together() -> list[Calls]:
        many = [Calls(*[failure(ErrorKind.SERVER)] * 3) for _ in range(10)]
        async with asyncio.TaskGroup() as group:
            for calls in many:
                group.create_task(calls.run(new_retry_state(max_retries=3)))
        return many

    assert [len(calls.times) for calls in run_virtual(together())] == [4] * 10


def test_a_retry_is_announced_before_it_is_waited_for() -> None:
    """``on_retry`` receives kind, wait and the next deadline."""
    calls = Calls(failure(ErrorKind.TIMEOUT))

    run_virtual(calls.run(new_retry_state(timeout_s=100.0)))

    event = calls.events[0]
    assert (event.kind, event.wait_s, event.failures) == (ErrorKind.TIMEOUT, 1.0, 1)
    assert event.next_timeout_s == pytest.approx(160.0)


def test_cancelling_ends_the_wait() -> None:
    """A cancellation is never taken for a failure to retry."""
    calls = Calls(failure(ErrorKind.SERVER))

    async def cancel_while_waiting() -> None:
        task = asyncio.create_task(calls.run(new_retry_state()))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(cancel_while_waiting())

    assert calls.times == [0.0]


@given(
    kind=st.sampled_from(sorted(RETRIED)),
    failures=st.integers(1, 10_000),
    hint_s=st.none() | st.floats(0, 1e6),
    seed=st.integers(),
)
def test_every_wait_is_bounded(kind: ErrorKind, failures: int, hint_s: float | None, seed: int) -> None:
    """A wait is never negative, never before the hint, never beyond both the cap and the hint's stretch."""
    waited_s = backoff_s(failure(kind, hint_s), failures, random.Random(seed))

    hint = hint_s or 0.0
    assert hint <= waited_s <= max(POLICIES[kind].cap_s, hint * (1 + HINT_JITTER))


@pytest.mark.parametrize("max_retries", [0, 5])
@pytest.mark.parametrize("kind", [ErrorKind.INVALID_REQUEST, ErrorKind.NETWORK])
def test_a_failure_that_deserves_further_tries_gets_them(kind: ErrorKind, max_retries: int) -> None:
    """As many as it names and no more, after waits that double, whatever the policy of its class."""
    again = ApiFailure(kind=kind, detail="please retry", extra_tries=3)
    calls = Calls(*[again] * 9)

    with pytest.raises(ApiFailure):
        run_virtual(calls.run(new_retry_state(max_retries)))

    assert calls.times == [0.0, 2.0, 6.0, 14.0]
