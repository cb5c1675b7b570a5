"""Rules of processing/stopped_call.py: a call that a stop cost is no fault of service or image."""

import asyncio
import random
from collections.abc import Callable

import pytest

import retry_handler
from errors import ApiFailure, Cause, ErrorKind
from models import Generation, GenerationRequest
from processing import stopped_call
from rate_limit.service_health import ServiceHealth
from retry_handler import RetryState
from utils.steady_loop import SteadyLoop

K = ErrorKind
REQUEST = GenerationRequest(key="a.png", image=b"", mime_type="image/png", prompt="x", timeout_s=10.0)


class Machine:
    """A machine whose sleep a test decides."""

    def __init__(self) -> None:
        self.slept_s = 0.0

    def run(self, ask: Callable[[GenerationRequest], Generation]) -> ApiFailure | None:
        """Return the failure of a call during which the machine may sleep."""

        async def call(request: GenerationRequest) -> Generation:
            return ask(request)

        async def main() -> ApiFailure | None:
            try:
                await stopped_call.generate(call, REQUEST)
            except ApiFailure as failure:
                return failure
            return None

        loop = SteadyLoop(clock=lambda: 1_000.0, boot_clock=lambda: 1_000.0 + self.slept_s)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(main())


def fail(machine: Machine, kind: ErrorKind, *, slept_s: float) -> ApiFailure:
    """Return the failure of a call of this kind during which the machine slept."""

    def ask(_: GenerationRequest) -> Generation:
        machine.slept_s += slept_s
        raise ApiFailure(kind=kind, detail="no answer within 10 s")

    failure = machine.run(ask)
    assert failure is not None
    return failure


@pytest.mark.parametrize("kind", ErrorKind)
@pytest.mark.parametrize("slept_s", [0.0, 3_600.0])
def test_what_a_stop_explains(kind: ErrorKind, slept_s: float) -> None:
    """A lost connection and a missed deadline are the stop's, whatever the service said itself is not."""
    failure = fail(Machine(), kind, slept_s=slept_s)

    is_explained = bool(slept_s) and kind in {K.NETWORK, K.TIMEOUT}
    assert (failure.cause is Cause.STOPPED) == is_explained
    assert ("the machine slept" in failure.detail) == is_explained


def test_it_costs_no_retry_and_no_longer_deadline() -> None:
    """An image without any retry is asked about again after each stop, with the deadline it had."""
    state = RetryState(max_retries=0, timeout_s=10.0, max_timeout_s=600.0)
    failure = fail(Machine(), K.TIMEOUT, slept_s=60.0)

    assert all(state.should_retry(failure) for _ in range(stopped_call.EXTRA_TRIES))
    assert not state.should_retry(failure)
    assert (state.failures, state.timeout_s) == (0, 10.0)
    assert retry_handler.backoff_s(failure, 1, random.Random(1)) <= 2.0


def test_it_is_no_outage() -> None:
    """However many calls a stop cost, the service is not held to be down."""
    health = ServiceHealth(max_concurrent=50, outage_patience_s=1.0, latency_s=None)
    for number in range(50):
        health.on_failure(fail(Machine(), K.TIMEOUT, slept_s=60.0), 100.0 + number, 10.0, retry=False)

    assert health.outage == ""
    assert health.next_probe_s() is None
    assert health.allowed_concurrency(200.0, None) == 50
