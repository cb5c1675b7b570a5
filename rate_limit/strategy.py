"""What must a way to pace answer, in requests or in tokens?

The port, and its simplest form: ``Fixed`` paces nothing, so that what is left are the user's ceilings and
the pauses. The learning pace is the same thing with a ceiling that it finds itself.
"""

from typing import Protocol

from rate_limit.limit_estimation import Rejection
from rate_limit.request_log import RequestLog, SentRequest
from rate_limit.types import LearnedLimit


class Strategy(Protocol):
    """Paces one unit."""

    @property
    def pace(self) -> float | None:
        """Return the units a minute that may start now, for all runs on the key; None for no limit."""

    def earliest_start_s(self, amount: float, now_s: float, request_log: RequestLog) -> float | None:
        """Return when the amount may start; None for not before a granted request has left."""

    def on_granted(self, request: SentRequest, now_s: float, *, was_paced: bool) -> None:
        """Count a request; ``was_held`` says that this pace is what it had waited for."""

    def on_rejected(self, rejection: Rejection, now_s: float, request_log: RequestLog) -> None:
        """Hear that the quota for this unit refused a request."""

    def on_accepted(self) -> None:
        """Hear that the quota took a request."""

    def set_share(self, *, share: float, others: float) -> None:
        """Hear which part of the pace is ours, and what others took in the last minute."""

    def current_limit(self) -> LearnedLimit | None:
        """Return the limit as it is believed to be now; None while none was met."""

    def limit_to_save(self) -> LearnedLimit | None:
        """Return what the next night starts from."""

    def adopt_limit(self, limit: LearnedLimit) -> None:
        """Hear of a limit that another run on the key has met."""


class Unlimited:
    """Paces nothing."""

    pace: float | None = None

    def earliest_start_s(self, amount: float, now_s: float, request_log: RequestLog) -> float | None:  # noqa: ARG002
        """Return now."""
        return now_s

    def on_granted(self, request: SentRequest, now_s: float, *, was_paced: bool) -> None:
        """Learn nothing."""

    def on_rejected(self, rejection: Rejection, now_s: float, request_log: RequestLog) -> None:
        """Learn nothing: the pause is all that follows."""

    def on_accepted(self) -> None:
        """Learn nothing."""

    def set_share(self, *, share: float, others: float) -> None:
        """Take all that the ceilings give."""

    def current_limit(self) -> LearnedLimit | None:
        """Return that none is known."""
        return None

    def limit_to_save(self) -> LearnedLimit | None:
        """Return that nothing is known."""
        return None

    def adopt_limit(self, limit: LearnedLimit) -> None:
        """Learn nothing."""
