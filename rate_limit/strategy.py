"""Interface of a pacing strategy for one unit, and the strategy that sets no limit."""

from typing import Protocol

from rate_limit.limit_estimation import Rejection
from rate_limit.request_log import RequestLog, SentRequest
from rate_limit.types import LearnedLimit


class Strategy(Protocol):
    """Decides when requests may start, for one unit."""

    @property
    def pace(self) -> float | None:
        """Return the units a minute that may start now, for all runs on the key; None if unlimited."""

    def earliest_start_s(self, amount: float, now_s: float, request_log: RequestLog) -> float | None:
        """Return when the amount may start; None if unknown: a granted request has to leave first."""

    def on_granted(self, request: SentRequest, now_s: float, *, was_paced: bool) -> None:
        """Record a granted request; ``was_paced``: this strategy is what it had waited for."""

    def on_rejected(self, rejection: Rejection, now_s: float, request_log: RequestLog) -> None:
        """Record that the quota for this unit rejected a request."""

    def on_accepted(self) -> None:
        """Record that the quota accepted a request."""

    def set_share(self, *, share: float, others: float) -> None:
        """Update the part of the pace that is ours, and the amount that peers used in the last minute."""

    def current_limit(self) -> LearnedLimit | None:
        """Return the limit as it is estimated now; None if unknown."""

    def limit_to_save(self) -> LearnedLimit | None:
        """Return what the next run starts from; None if unknown."""

    def adopt_limit(self, limit: LearnedLimit) -> None:
        """Update the limit to one that another run on the key has met, if none is known here."""


class Unlimited:
    """No limit and no learning: only the user's limits and the pauses remain."""

    pace: float | None = None

    def earliest_start_s(self, amount: float, now_s: float, request_log: RequestLog) -> float | None:  # noqa: ARG002
        """Return now."""
        return now_s

    def on_granted(self, request: SentRequest, now_s: float, *, was_paced: bool) -> None:
        """Record nothing."""

    def on_rejected(self, rejection: Rejection, now_s: float, request_log: RequestLog) -> None:
        """Record nothing; ``Cooldown`` keeps the pause."""

    def on_accepted(self) -> None:
        """Record nothing."""

    def set_share(self, *, share: float, others: float) -> None:
        """Record nothing: there is no pace to divide."""

    def current_limit(self) -> LearnedLimit | None:
        """Return None: no limit is known."""
        return None

    def limit_to_save(self) -> LearnedLimit | None:
        """Return None: there is nothing to save."""
        return None

    def adopt_limit(self, limit: LearnedLimit) -> None:
        """Record nothing."""
