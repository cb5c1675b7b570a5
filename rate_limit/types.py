"""Values that go into rate limiting and come out of it.

They are frozen and plain, so that they can be shown, stored and sent to another run as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """Unit that a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"


class WaitCause(StrEnum):
    """Reason for which no request may start at the moment."""

    QUOTA = "quota"
    """A rejection said when to come back."""
    PACE = "pace"
    """The learned pace."""
    CEILING = "ceiling"
    """The user's own ``--rpm`` or ``--tpm``."""
    OUTAGE = "outage"
    """The service is in distress."""
    CONCURRENCY = "concurrency"
    """Enough calls are in flight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A wait of the next request."""

    cause: WaitCause
    until_s: float | None
    """The instant to check again; None if unknown: a call in flight has to end first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedLimit:
    """One limit, and how well it is known."""

    per_minute: float
    named: bool = False
    """The service itself named it."""
    confirmed: bool = False
    """It was met again, or held for a minute without a rejection; else only so much was seen to pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedLimits:
    """Limits that the next run starts from; each is None if unknown."""

    requests: LearnedLimit | None = None
    tokens: LearnedLimit | None = None
    latency_s: float | None = None
    """Mean duration of a call, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """Status of one run on a key, for its peers; instants are on the clock of the run that reads it."""

    requests_60s: float = 0.0
    """Requests that the quota accepted in the last minute."""
    tokens_60s: float = 0.0
    demand_rpm: float = 0.0
    """Requests a minute that the run could use; infinite if only the quota holds it back."""
    paused_until_s: float | None = None
    limits: LearnedLimits = LearnedLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitStats:
    """Present state of the rate limiter, and its totals so far."""

    pace_rpm: float | None
    """Requests a minute that may start; None if unlimited."""
    limit_rpm: float | None
    limit_tpm: float | None
    limit_is_named: bool
    """The service named one of these limits."""
    concurrency: int
    """Calls that may be in flight at once."""
    in_flight: int
    waiting: int
    waiting_for: WaitCause | None
    waiting_until_s: float | None
    """On the event loop's clock; None if unknown: it depends on a call in flight."""
    outage: str = ""
    """Why the last call got no reply, in a few words; empty if there was a reply."""
    waited_s: Mapping[WaitCause, float]
    """Seconds in which the queue waited, by cause."""
    rejections: Mapping[str, int]
    """Rejected calls, by the quota that rejected them."""
    requests: int
    rejected: int
    wasted_upload_bytes: int
    """Bytes sent with calls that a quota rejected."""
