"""What must a way to pace answer, in requests or in tokens?

The port, and its simplest form: ``Fixed`` paces nothing, so that what is left are the user's ceilings and
the pauses. The learning pace is the same thing with a ceiling that it finds itself.
"""

from typing import Protocol

from rate_limit.limit_estimation import Refused
from rate_limit.request_log import Sending, Sendings
from rate_limit.types import LearnedLimit


class Strategy(Protocol):
    """Paces one unit."""

    @property
    def pace(self) -> float | None:
        """Return the units a minute that may start now, for all runs on the key; None for no limit."""

    def free_at_s(self, amount: float, now_s: float, sendings: Sendings) -> float | None:
        """Return when the amount may start; None for not before a granted request has left."""

    def granted(self, sending: Sending, now_s: float, *, was_held: bool) -> None:
        """Count a request; ``was_held`` says that this pace is what it had waited for."""

    def refused(self, refused: Refused, now_s: float, sendings: Sendings) -> None:
        """Hear that the quota for this unit refused a request."""

    def served(self) -> None:
        """Hear that the quota took a request."""

    def beside(self, *, portion: float, others: float) -> None:
        """Hear which part of the pace is ours, and what others took in the last minute."""

    def met(self) -> LearnedLimit | None:
        """Return the limit as it is believed to be now; None while none was met."""

    def known(self) -> LearnedLimit | None:
        """Return what the next night starts from."""

    def meet(self, limit: LearnedLimit) -> None:
        """Hear of a limit that another run on the key has met."""


class Fixed:
    """Paces nothing."""

    pace: float | None = None

    def free_at_s(self, amount: float, now_s: float, sendings: Sendings) -> float | None:  # noqa: ARG002
        """Return now."""
        return now_s

    def granted(self, sending: Sending, now_s: float, *, was_held: bool) -> None:
        """Learn nothing."""

    def refused(self, refused: Refused, now_s: float, sendings: Sendings) -> None:
        """Learn nothing: the pause is all that follows."""

    def served(self) -> None:
        """Learn nothing."""

    def beside(self, *, portion: float, others: float) -> None:
        """Take all that the ceilings give."""

    def met(self) -> LearnedLimit | None:
        """Return that none is known."""
        return None

    def known(self) -> LearnedLimit | None:
        """Return that nothing is known."""
        return None

    def meet(self, limit: LearnedLimit) -> None:
        """Learn nothing."""
