"""What does pacing tell, and what must it be told?

Plain frozen numbers, so that they can be shown, stored and sent to another run as they are. They know
nothing of how they are found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"


class WaitCause(StrEnum):
    """Why nobody may start a request at the moment."""

    QUOTA = "quota"
    """A refusal said when to come back."""
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
    """Why the next request may not start yet."""

    cause: WaitCause
    until_s: float | None
    """The instant to ask again; None for as soon as a call in flight ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedLimit:
    """What is known about one limit."""

    per_minute: float
    named: bool = False
    """The service itself named it."""
    confirmed: bool = False
    """It was met again, or a minute at it stayed clean; else only that much was seen to pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedLimits:
    """What the next night starts from."""

    requests: LearnedLimit | None = None
    tokens: LearnedLimit | None = None
    latency_s: float | None = None
    """How long a call takes, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """What one run on a key tells the others; instants are on the clock of the run that reads it."""

    requests_60s: float = 0.0
    """Requests that the quota took in the last minute."""
    tokens_60s: float = 0.0
    demand_rpm: float = 0.0
    """Requests a minute it could use; infinite when it is held back by the quota alone."""
    paused_until_s: float | None = None
    limits: LearnedLimits = LearnedLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitStats:
    """How the pacing stands now and what it cost so far."""

    pace_rpm: float | None
    """Requests a minute that may start; None for no limit."""
    limit_rpm: float | None
    limit_tpm: float | None
    limit_is_named: bool
    """The service named the limit that binds."""
    concurrency: int
    """Calls that may be in flight at once."""
    in_flight: int
    waiting: int
    waiting_for: WaitCause | None
    waiting_until_s: float | None
    """On the event loop's clock; None when it depends on a call in flight."""
    waited_s: Mapping[WaitCause, float]
    """How long the queue stood still, by cause."""
    rejections: Mapping[str, int]
    """Refused calls by the quota that refused them."""
    requests: int
    rejected: int
    wasted_upload_bytes: int
    """Sent with calls that a quota refused."""
