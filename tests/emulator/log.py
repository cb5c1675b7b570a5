"""Log of the requests that the emulator saw, and how each ended."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.emulator.faults import Fault

ANSWERED = "answered"
"""The outcome of a call that got its plain, good answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request, as the server saw it when it had decided what to do with it."""

    at_s: float
    """Arrival, in seconds of the event loop's clock since the server's start."""
    wall_time: str
    """Arrival, ISO 8601, UTC."""
    operation: str
    """``generateContent``, ``countTokens``, ``models.get``, ``models.list``, ``files.upload`` ..."""
    model: str = ""
    image_sha256: str = ""
    """Of the image's bytes as received; empty where there was none."""
    prompt: str = ""
    mime_type: str = ""
    """Of the image, as the client declared it."""
    outcome: str = ""
    """A fault's name, ``answered``, ``quota``, or ``http <code>`` where the request itself was wrong."""
    key_ok: bool = False
    in_flight: int = 0
    """generateContent calls in flight on arrival, with this one."""
    bytes_received: int = 0
    """Size of the body."""


class RequestLog:
    """The requests in order of decision, and how many calls were in flight at once."""

    def __init__(self) -> None:
        self.requests: list[LoggedRequest] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.arrived = 0
        self._arrival = asyncio.Event()

    async def until_arrived(self, number: int) -> None:
        """Wait until so many generateContent calls have arrived since the start; for one waiter."""
        while self.arrived < number:
            self._arrival.clear()
            await self._arrival.wait()

    def reset(self) -> None:
        """Remove all requests; calls still in flight go on being counted."""
        self.requests.clear()
        self.max_in_flight = self.in_flight

    def answered(self, sha256: str) -> int:
        """Return how many usable answers were given for an image."""
        return sum(1 for row in self.requests if row.image_sha256 == sha256 and _answers(row.outcome))

    @contextmanager
    def flight(self) -> Iterator[int]:
        """Count a call in while it lasts; yields the number in flight with it."""
        self.in_flight += 1
        self.arrived += 1
        self._arrival.set()
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            yield self.in_flight
        finally:
            self.in_flight -= 1


def _answers(outcome: str) -> bool:
    return outcome == ANSWERED or (outcome in set(Fault) and Fault(outcome).still_answers)
