"""Which failure is worth another call, after how long, and how patiently?

The naive answer is a loop around the call that sleeps a little longer each time. It fails in four
ways that all cost money or the night: it asks again what can never succeed (a 400), it hammers a
quota that said when to come back, it gives a slow call the same deadline that was too short, and
one shared retry object mixes the counts of images that fail at the same time.

Here the policy is frozen data, one row for each ``ErrorKind`` (``POLICIES``), and the driver is
disposable: ``run`` builds a fresh tenacity ``AsyncRetrying`` for every call whose first try failed; most
need none, and building it takes half a millisecond. What an image may
still spend is a ``RetryBudget`` that belongs to the image and outlives the single call, since a
repaired prompt does not earn new retries.

Not done here: choosing another prompt (``prompt_optimizer``), making everybody wait after a 429
(``rate_limiter``), ending the run (a ``FatalError`` passes through untouched: the predicate below
knows ``ApiFailure`` alone). This file knows neither HTTP nor images.
"""

import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from errors import ApiFailure, ErrorKind

if TYPE_CHECKING:
    import tenacity

T = TypeVar("T")


class Verdict(Enum):
    """What becomes of a failure of one kind."""

    RETRY = auto()
    """The same call again, later."""
    REPAIR = auto()
    """Waiting cannot help, other words may: the optimizer's business."""
    FAIL = auto()
    """Neither can help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How failures of one kind are retried."""

    verdict: Verdict
    base_s: float = 0.0
    """Upper end of the first wait, in seconds; it doubles with every further failure of the image."""
    cap_s: float = 0.0
    """No computed wait is longer than this, in seconds; a server's hint may be."""
    lowest_share: float = 0.0
    """The wait is drawn evenly between this share of its upper end and the end: 0 is "full jitter"."""
    timeout_growth: float = 1.0
    """The factor for the next try's deadline."""


_STANDARD = RetryPolicy(verdict=Verdict.RETRY, base_s=1.0, cap_s=60.0)
_REPAIR = RetryPolicy(verdict=Verdict.REPAIR)
_FAIL = RetryPolicy(verdict=Verdict.FAIL)

POLICIES: Mapping[ErrorKind, RetryPolicy] = {
    # Full jitter collapses on quotas per minute: eight tries were seen to be gone in 4.5 s at 5 RPM
    # (aws-sdk-net issue 4341). So the wait never falls below half of an upper end that starts high.
    ErrorKind.RATE_LIMITED: RetryPolicy(verdict=Verdict.RETRY, base_s=8.0, cap_s=120.0, lowest_share=0.5),
    ErrorKind.SERVER: _STANDARD,
    ErrorKind.NETWORK: _STANDARD,
    ErrorKind.TIMEOUT: RetryPolicy(verdict=Verdict.RETRY, base_s=1.0, cap_s=60.0, timeout_growth=1.6),
    ErrorKind.BLOCKED: _REPAIR,
    ErrorKind.RECITATION: _REPAIR,
    ErrorKind.TRUNCATED: _REPAIR,
    ErrorKind.EMPTY: _REPAIR,
    ErrorKind.NO_IMAGE: _REPAIR,
    ErrorKind.MALFORMED: _REPAIR,
    ErrorKind.SCHEMA: _REPAIR,
    ErrorKind.REFUSED: _REPAIR,
    ErrorKind.PROHIBITED: _FAIL,
    ErrorKind.FILE_UNAVAILABLE: _FAIL,
    ErrorKind.INVALID_REQUEST: _FAIL,
}
"""One row for every kind; a test holds that none is missing."""

HINT_JITTER = 0.1
"""A server's hint is stretched by up to this share, so that those who wait do not all return at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryEvent:
    """A retry that is about to be waited for."""

    kind: ErrorKind
    detail: str
    wait_s: float
    failures: int
    """Transient failures of this image so far, this one included."""
    next_timeout_s: float

    def __str__(self) -> str:
        """Return what the log says about it."""
        follows = f"try {self.failures + 1} follows in {self.wait_s:.1f} s"
        return f"{self.detail}; {follows} (deadline {self.next_timeout_s:.0f} s)"


@dataclass(slots=True, kw_only=True)
class RetryState:
    """What one image may still spend on transient failures; mutable, never shared between images."""

    max_retries: int
    """Over all transient kinds and all prompts of the image together; 0 and more."""
    timeout_s: float
    """The deadline of the next call, in seconds."""
    max_timeout_s: float
    get_time_left_s: Callable[[], float] = field(default=lambda: math.inf)
    """How long calls that time out may still go on, in seconds, once the run waits for its last images."""
    failures: int = field(default=0, init=False)
    """Failures that counted."""
    others_are_served: bool = field(default=False, init=False)
    """The last failure was a quota met while others were served: it did not count."""

    def should_retry(self, failure: ApiFailure, *, others_are_served: bool = False) -> bool:
        """Count the failure; say whether it is of a kind to retry and a retry is left.

        A quota that serves others meanwhile is no failure of this image: it only waits its turn.
        """
        policy = POLICIES[failure.kind]
        if policy.verdict is not Verdict.RETRY:
            return False
        self.others_are_served = others_are_served and failure.kind is ErrorKind.RATE_LIMITED
        if self.others_are_served:
            return True
        self.failures += 1
        return self._extend_timeout(policy) and self.failures <= self.max_retries

    def _extend_timeout(self, policy: RetryPolicy) -> bool:
        """Lengthen the deadline as the policy says; False when too little time is left to be of use."""
        if policy.timeout_growth == 1.0:
            return True
        last_s, longest_s = self.timeout_s, max(self.timeout_s, self.max_timeout_s)
        self.timeout_s = min(last_s * policy.timeout_growth, longest_s, max(self.get_time_left_s(), last_s))
        return self.get_time_left_s() >= last_s


def backoff_s(
    failure: ApiFailure, failures: int, rng: random.Random, *, others_are_served: bool = False
) -> float:
    """Return the seconds to wait after the image's ``failures``-th transient failure (1 and more).

    The wait doubles from ``base_s`` up to ``cap_s``, is jittered, and never ends before the moment
    that the server named. Where others are served meanwhile that moment is all there is to wait for:
    the pace is already being corrected for everybody.
    """
    policy = POLICIES[failure.kind]
    if others_are_served and failure.retry_after_s is not None:
        return failure.retry_after_s * (1.0 + HINT_JITTER * rng.uniform(0.0, 1.0))
    failures = 1 if others_are_served else failures
    # The exponent is bounded because 2.0 ** 1024 overflows, and no cap is that high.
    upper_s = min(policy.cap_s, policy.base_s * 2.0 ** min(failures - 1, 32))
    jittered_s = rng.uniform(policy.lowest_share * upper_s, upper_s)
    hint_s = (failure.retry_after_s or 0.0) * (1.0 + HINT_JITTER * rng.uniform(0.0, 1.0))
    return max(jittered_s, hint_s)


async def run(
    call: Callable[[float], Awaitable[T]],
    *,
    retry_state: RetryState,
    rng: random.Random,
    sleep: Callable[[float], Awaitable[None]],
    on_retry: Callable[[RetryEvent], None],
    others_are_served: Callable[[], bool] = lambda: False,
) -> T:
    """Make the call, and again after each failure that its policy and the image's budget admit.

    ``call`` is given the deadline in seconds. ``announce`` hears of a retry before it is waited for.
    ``is_crowded``, asked once after each quota failure, tells whether others were served meanwhile.

    Raises:
        ApiFailure: the last one, when it is not of a kind to retry or the budget is spent.
        FatalError: at once, as the call raised it.
    """
    try:
        return await call(retry_state.timeout_s)
    except ApiFailure as failure:
        first_failure = [failure]
    import tenacity  # noqa: PLC0415 - 9 ms, only where a call failed

    async def attempt() -> T:  # a lambda would not do: tenacity awaits only what is declared async
        if first_failure:
            raise first_failure.pop()
        return await call(retry_state.timeout_s)

    retrying = tenacity.AsyncRetrying(
        sleep=sleep,
        stop=tenacity.stop_never,
        retry=tenacity.retry_if_exception(partial(_should_retry, retry_state, others_are_served)),
        wait=lambda state: backoff_s(
            _failure_of(state), retry_state.failures, rng, others_are_served=retry_state.others_are_served
        ),
        before_sleep=lambda state: on_retry(_to_event(state, retry_state)),
        reraise=True,
    )
    return await retrying(attempt)


def _should_retry(
    retry_state: RetryState, others_are_served: Callable[[], bool], error: BaseException
) -> bool:
    if not isinstance(error, ApiFailure):
        return False
    return retry_state.should_retry(
        error, others_are_served=error.kind is ErrorKind.RATE_LIMITED and others_are_served()
    )


def _to_event(state: "tenacity.RetryCallState", retry_state: RetryState) -> RetryEvent:
    failure = _failure_of(state)
    return RetryEvent(
        kind=failure.kind,
        detail=failure.detail,
        wait_s=state.upcoming_sleep,
        failures=retry_state.failures,
        next_timeout_s=retry_state.timeout_s,
    )


def _failure_of(state: "tenacity.RetryCallState") -> ApiFailure:
    failure = state.outcome.exception() if state.outcome else None
    if not isinstance(failure, ApiFailure):  # the predicate lets nothing else come this far
        raise TypeError(f"retrying after {failure!r}")
    return failure
