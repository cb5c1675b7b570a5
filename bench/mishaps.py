"""Mishaps: which image meets which fault, the same for every client.

An image's hash decides, so that all clients meet the same faults in whichever order they send their calls.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiohttp import web


class Mishap(Enum):
    """What a call meets instead of its plain answer."""

    QUOTA = "quota"
    OVERLOADED = "overloaded"
    INTERNAL = "internal"
    RESET = "reset"
    CUT = "cut"
    EMPTY = "empty"
    SLOW = "slow"

    @property
    def slower_s(self) -> float:
        """Return by how much the reply is late."""
        return 2.0 if self is Mishap.SLOW else 0.0


_SHARES = (
    (Mishap.QUOTA, 0.05, 1),
    (Mishap.OVERLOADED, 0.05, 2),
    (Mishap.INTERNAL, 0.04, 1),
    (Mishap.RESET, 0.03, 1),
    (Mishap.CUT, 0.03, 1),
    (Mishap.EMPTY, 0.02, 1),
    (Mishap.SLOW, 0.02, 1),
)
"""Share of the images, and how many of an image's first calls meet it: all are cured by patience."""

_REFUSALS = {
    Mishap.QUOTA: (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota."),
    Mishap.OVERLOADED: (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    Mishap.INTERNAL: (500, "INTERNAL", "An internal error has occurred. Please retry."),
}


@dataclass(slots=True)
class Quota:
    """A bucket of calls that fills evenly."""

    per_s: float
    burst: int
    since_s: float
    _taken: float = 0.0

    def wait_s(self, now_s: float) -> float:
        """Take one call and return 0, or return after how long there will be one."""
        self._taken = max(0.0, self._taken - (now_s - self.since_s) * self.per_s)
        self.since_s = now_s
        if self._taken + 1 > self.burst:
            return (self._taken + 1 - self.burst) / self.per_s
        self._taken += 1
        return 0.0


def mishap_of(sha256: str, call: int) -> Mishap | None:
    """Return what the call with this number (from 1) for an image meets, if anything."""
    place = int(sha256[:8], 16) / (1 << 32)
    for mishap, share, calls in _SHARES:
        if place < share:
            return mishap if call <= calls else None
        place -= share
    return None


def refusal(mishap: Mishap, wait_s: float) -> web.Response:
    """Return the error body; a quota's says how long to wait (docs/api-facts.md, sections 3.3 and 3.4)."""
    code, status, message = _REFUSALS[mishap]
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if mishap is Mishap.QUOTA:
        error["message"] += f" Please retry in {wait_s:.3f}s."
        violation = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
        }
        error["details"] = [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait_s:.3f}s"},
        ]
    return web.json_response({"error": error}, status=code)
