"""Calls lost because the process did not run: no fault of the service, no retry of the image.

A stopped process and a sleeping machine take no answer, so that the server or the network gives the
connection up, or the connection is dead without a word.
"""

from collections.abc import Awaitable, Callable

from errors import ApiFailure, Cause, ErrorKind
from models import Generation, GenerationRequest
from utils.steady_loop import stopped_s

EXTRA_TRIES = 20
"""Further calls for one image, however often the process is stopped; they cost no retry."""

_MIN_STOP_S = 1.0


async def generate(
    ask: Callable[[GenerationRequest], Awaitable[Generation]], request: GenerationRequest
) -> Generation:
    """Send a request; note on its failure if the process was stopped meanwhile.

    Raises:
        ApiFailure: the call failed.
        FatalError: no call of this run can succeed.
    """
    before_s = stopped_s()
    try:
        return await ask(request)
    except ApiFailure as failure:
        is_lost = failure.kind in {ErrorKind.NETWORK, ErrorKind.TIMEOUT} and not failure.extra_tries
        if is_lost and stopped_s() - before_s >= _MIN_STOP_S:
            failure.detail = (
                f"the program was stopped during the call, or the machine slept: {failure.detail}"
            )
            failure.cause, failure.extra_tries = Cause.STOPPED, EXTRA_TRIES
        raise
