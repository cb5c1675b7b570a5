"""May a model be asked for words once more, and what did that cost?

The naive answer takes the money for it from the same purse and looks no further: a model that is ten times
as dear as the run's own would then eat the money of the images. So such a call has two purses: the run's,
whose caps hold over all calls, and a small one of its own, with a number of calls that holds even where no
price is known. The worst case is set aside in both before anything is sent. This file knows neither words
nor HTTP.

Source: thoughts take 2,000 to 4,000 tokens of an answer (field-notes.md, section 2.1, November 2026).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from costs.budget import Prices, Reservation
from models import Usage

MOST_CALLS = 8
"""In one run, retries counted."""
ANSWER_TOKENS = 8192
"""The bound of an answer, thoughts included."""
_WRAPPING_TOKENS = 64
"""What the service may add around the question."""


class RunsPurse(Protocol):
    """What the run may still send and spend."""

    def set_aside(
        self, *, input_tokens: int, output_tokens: int, prices: Prices | None
    ) -> Reservation | None:
        """Set aside a request at once; None where the caps do not allow it."""
        ...


class Allowance:
    """What the calls for words may take in one run.

    Args:
        purse: of the run.
        prices: of the model that is asked; None when they are not known.
        max_cost: the most money, in US dollars; holds where there are prices.
        utcnow: the wall clock: prices go by the day.
    """

    def __init__(
        self,
        *,
        purse: RunsPurse,
        prices: Prices | None,
        max_cost: Decimal,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._purse = purse
        self._prices = prices
        self._utcnow = utcnow
        self.left = max_cost
        """US dollars that are neither spent nor set aside."""
        self.calls = 0
        """Sent, or about to be."""
        self.is_spent = False
        """No call will be allowed in this run any more."""

    def take(self, question: str) -> "Held | None":
        """Set one call aside; None where the caps do not allow it now. No token is less than one byte."""
        tokens, most = len(question.encode()) + _WRAPPING_TOKENS, Decimal(0)
        if self._prices is not None:
            most = self._prices.most(input_tokens=tokens, output_tokens=ANSWER_TOKENS, at=self._utcnow())
        self.is_spent = self.calls >= MOST_CALLS or most > self.left
        if self.is_spent:
            return None
        reservation = self._purse.set_aside(
            input_tokens=tokens, output_tokens=ANSWER_TOKENS, prices=self._prices
        )
        if reservation is None:
            return None
        self.calls += 1
        self.left -= most
        return Held(allowance=self, reservation=reservation, most=most)

    def cost(self, usage: Usage) -> Decimal | None:
        """Return what these tokens cost; None when nobody knows."""
        return None if self._prices is None else self._prices.cost(usage, self._utcnow())


@dataclass(slots=True, kw_only=True)
class Held:
    """What is set aside for one call; exactly one of its three ends is told."""

    allowance: Allowance
    reservation: Reservation
    most: Decimal
    """US dollars."""
    cost: Decimal | None = field(default=None, init=False)
    """What was billed; None as long as nobody knows."""

    @property
    def max_output_tokens(self) -> int | None:
        """What the answer may take at most."""
        return self.reservation.max_output_tokens

    def settle(self, usage: Usage) -> None:
        """Hear what was billed; a reply that does not say it counts with all that was set aside."""
        self.reservation.settle(usage)
        if usage.input_tokens or usage.output_tokens:
            self.cost = self.allowance.cost(usage)
        self.allowance.left += self.most - (self.most if self.cost is None else self.cost)

    def lost(self) -> None:
        """Hear that it was sent, and that nobody knows what was billed."""
        self.reservation.lost()

    def unused(self, *, sent: bool) -> None:
        """Hear that nothing was billed."""
        self.reservation.unused(sent=sent)
        self.cost = self.allowance.cost(Usage())
        self.allowance.left += self.most
        self.allowance.calls -= not sent
