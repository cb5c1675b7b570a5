"""Retry policy: a row for each kind of failure, and the loop that retries one call by it.

``run`` builds a new tenacity ``AsyncRetrying`` only for a call whose first try failed: building it takes
half a millisecond. The retries that an image has left are a ``RetryState`` that outlives the single call,
since a changed prompt does not earn new retries. A FatalError passes through.
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
    """What follows a failure of one kind."""

    RETRY = auto()
    """Retry the same call later."""
    REPAIR = auto()
    """Leave it to the prompt optimizer: waiting cannot help, another prompt may."""
    FAIL = auto()
    """Give up: neither can help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How failures of one kind are retried."""

    verdict: Verdict
    base_s: float = 0.0
    """Upper bound of the first wait, in seconds; it doubles with every further failure of the image."""
    cap_s: float = 0.0
    """Upper bound of every computed wait, in seconds; a server's hint may be longer."""
    lowest_share: float = 0.0
    """The wait is drawn evenly between this share of its upper bound and the bound; 0 is "full jitter"."""
    timeout_growth: float = 1.0
    """Factor for the deadline of the next try."""


_STANDARD = RetryPolicy(verdict=Verdict.RETRY, base_s=1.0, cap_s=60.0)
_REPAIR = RetryPolicy(verdict=Verdict.REPAIR)
_FAIL = RetryPolicy(verdict=Verdict.FAIL)

POLICIES: Mapping[ErrorKind, RetryPolicy] = {
    # With full jitter eight tries were over in 4.5 s at 5 requests a minute (aws-sdk-net issue 4341):
    # the wait never falls below half of a bound that starts high.
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
"""One row for every kind of failure."""

EXTRA_TRY = RetryPolicy(verdict=Verdict.RETRY, base_s=2.0, cap_s=60.0, lowest_share=0.5)
"""The policy of a failure that deserves further calls of its own (``ApiFailure.extra_tries``)."""

HINT_JITTER = 0.1
"""A server's hint is stretched by up to this share, so that waiting calls do not all return at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryEvent:
    """A retry, before its wait."""

    kind: ErrorKind
    detail: str
    wait_s: float
    failures: int
    """Transient failures of this image so far, this one included."""
    next_timeout_s: float

    def __str__(self) -> str:
        """Return the text for the log."""
        follows = f"try {self.failures + 1} follows in {self.wait_s:.1f} s"
        return f"{self.detail}; {follows} (deadline {self.next_timeout_s:.0f} s)"


@dataclass(slots=True, kw_only=True)
class RetryState:
    """Retries that one image has left; mutable, never shared between images."""

    max_retries: int
    """Over all transient kinds and all prompts of the image together; at least 0."""
    timeout_s: float
    """The deadline of the next call, in seconds."""
    max_timeout_s: float
    max_wait_s: float = math.inf
    """Longest wait that the service may ask for; after a longer one the image is not tried again."""
    get_time_left_s: Callable[[], float] = field(default=lambda: math.inf)
    """Return how long calls that time out may still go on, in seconds."""
    failures: int = field(default=0, init=False)
    """Failures that counted."""
    extra_failures: int = field(default=0, init=False)
    """Failures that deserved further calls of their own; they do not count against ``max_retries``."""
    others_are_served: bool = field(default=False, init=False)
    """True if the last failure did not count: a quota rejected it while other calls were served."""

    def should_retry(self, failure: ApiFailure, *, others_are_served: bool = False) -> bool:
        """Record the failure; return True if its kind is retried and a retry is left.

        A rejection by a quota that serves other calls meanwhile does not count: the image waits its turn.
        """
        if failure.extra_tries:
            self.extra_failures += 1
            return self.extra_failures <= failure.extra_tries
        policy = POLICIES[failure.kind]
        if policy.verdict is not Verdict.RETRY:
            return False
        self.others_are_served = others_are_served and failure.kind is ErrorKind.RATE_LIMITED
        if self.others_are_served:
            return True
        self.failures += 1
        if (failure.retry_after_s or 0.0) > self.max_wait_s:
            return False
        return self._extend_timeout(policy) and self.failures <= self.max_retries

    def _extend_timeout(self, policy: RetryPolicy) -> bool:
        """Update the deadline by the policy; return False if too little time is left."""
        if policy.timeout_growth == 1.0:
            return True
        last_s, longest_s = self.timeout_s, max(self.timeout_s, self.max_timeout_s)
        self.timeout_s = min(last_s * policy.timeout_growth, longest_s, max(self.get_time_left_s(), last_s))
        return self.get_time_left_s() >= last_s


def backoff_s(
    failure: ApiFailure, failures: int, rng: random.Random, *, others_are_served: bool = False
) -> float:
    """Return the seconds to wait after the image's ``failures``-th transient failure (1 and more).

    The wait doubles from ``base_s`` up to ``cap_s``, is jittered, and never ends before the moment that the
    server named. If other calls are served meanwhile only that moment counts: the rate limiter already slows
    all calls down.
    """
    policy = EXTRA_TRY if failure.extra_tries else POLICIES[failure.kind]
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
    """Send the call, and again after each failure for which the policy and the image's state allow it.

    ``call`` takes the deadline in seconds; ``on_retry`` is called before each wait; ``others_are_served``
    returns, after a rejection by a quota, whether other calls were served since the last one.

    Raises:
        ApiFailure: the last one, if its kind is not retried or no retry is left.
        FatalError: at once, as the call raised it.
    """
    try:
        return await call(retry_state.timeout_s)
    except ApiFailure as failure:
        first_failure = [failure]
    import tenacity  # noqa: PLC0415 - 9 ms, only where a call failed

    async def attempt() -> T:  # tenacity awaits only what is declared async, no lambda
        if first_failure:
            raise first_failure.pop()
        return await call(retry_state.timeout_s)

    retrying = tenacity.AsyncRetrying(
        sleep=sleep,
        stop=tenacity.stop_never,
        retry=tenacity.retry_if_exception(partial(_should_retry, retry_state, others_are_served)),
        wait=lambda state: _wait_s(_failure_of(state), retry_state, rng),
        before_sleep=lambda state: on_retry(_to_event(state, retry_state)),
        reraise=True,
    )
    return await retrying(attempt)


def _wait_s(failure: ApiFailure, retry_state: RetryState, rng: random.Random) -> float:
    failures = retry_state.extra_failures if failure.extra_tries else retry_state.failures
    return backoff_s(failure, failures, rng, others_are_served=retry_state.others_are_served)


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
    if not isinstance(failure, ApiFailure):  # excluded by the predicate
        raise TypeError(f"retrying after {failure!r}")
    return failure
