"""May one more request be sent, without the user's cap ever being overrun?

Counting what was spent and stopping at the cap overruns it by all that is in flight: with a hundred
slots that is a hundred answers. Setting aside the longest answer a model can give, 65,536 tokens, wastes
a small cap on a handful of calls. So each request's worst case is set aside before it is sent, and the
worst case is made small: the answer's length is bounded on the wire, by what answers were seen to need.

While calls are in flight, what they leave over may pay for the next, so it waits for them; when none is
and the rest does not pay for one more, the run stops. A call of which nobody knows what it cost (no
reply came, or one without its usage) counts with all that was set aside. Decisions are taken in
synchronous methods; only ``reserve`` awaits. This file knows neither images nor HTTP, nor where prices
come from.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from errors import FatalError, StopReason
from models import Usage

log = logging.getLogger(__name__)

ENOUGH_ANSWERS = 5
"""After so many answers it is known how long they are."""

_ROOM = 4
"""An answer may become so many times as long as the longest seen."""
_LEAST_ROOM_TOKENS = 2048
_CLOSE_ROOM = Decimal("1.5")
"""With little money left: so many times as long."""
_CUT_OFF_SHARE = 0.95
"""An answer that takes this much of its bound was cut off by it."""
_LOOK_AGAIN_S = 3600.0


class Prices(Protocol):
    """What calls to the model cost, in US dollars."""

    def cost(self, usage: Usage, at: datetime) -> Decimal:
        """Return what these tokens cost."""
        ...

    def most(self, *, input_tokens: int, output_tokens: int, at: datetime) -> Decimal:
        """Return what a call can cost at most."""
        ...

    def affordable_output(self, money: Decimal, *, input_tokens: int, at: datetime) -> int:
        """Return how long an answer the money pays for in any case; below 0 when not even the question."""
        ...


class Bounds(Protocol):
    """How long answers may become, in tokens."""

    @property
    def first(self) -> int:
        """While nothing is known about them."""
        ...

    @property
    def least(self) -> int:
        """Below this a call is not worth its money."""
        ...

    @property
    def longest(self) -> int:
        """No bound above this is understood."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """How the budget stands; money in US dollars."""

    requests: int
    """Sent, or about to be."""
    spent: Decimal
    """Including ``unsure``."""
    unsure: Decimal
    """The part of it that no bill confirms: calls without a reply, counted with all that was set aside."""
    reserved: Decimal
    """Set aside for what is in flight."""
    left: Decimal | None
    """None without a cap."""


class Reservation:
    """Leave to send one request, and the money for it; exactly one of its three ends is told."""

    def __init__(
        self,
        budget: "Budget",
        *,
        amount: Decimal,
        max_output_tokens: int | None,
        prices: Prices | None,
        is_aside: bool = False,
    ) -> None:
        self.max_output_tokens = max_output_tokens
        """What is to be sent as the answer's bound; None for none."""
        self.amount = amount
        self.prices = prices
        self.is_aside = is_aside
        """For another question than the run's: its answer tells nothing about the length of others."""
        self._budget = budget
        self._is_open = True

    def settle(self, usage: Usage) -> None:
        """Hear what was billed, whether it was an answer or not."""
        self._close()
        self._budget.settled(self, usage)

    def lost(self) -> None:
        """Hear that it was sent, and that nobody knows what was billed."""
        self._close()
        self._budget.lost(self)

    def unused(self, *, sent: bool) -> None:
        """Hear that nothing was billed: it was refused, or not even sent."""
        self._close()
        self._budget.unused(self, sent=sent)

    def _close(self) -> None:
        if not self._is_open:
            raise RuntimeError("the end of a reservation was told twice")
        self._is_open = False


class Budget:
    """What one run may still send and spend.

    Args:
        max_requests: the most requests; None for any number.
        max_cost: the most money, in US dollars; None for any amount. Needs ``prices``.
        prices: of the model; None when they are not known.
        bounds: how long the model's answers may become.
        sleep: waits for so many seconds; may raise to end the wait (the run stops).
        utcnow: the wall clock: prices go by the day.
    """

    def __init__(
        self,
        *,
        max_requests: int | None,
        max_cost: Decimal | None,
        prices: Prices | None,
        bounds: Bounds,
        sleep: Callable[[float], Awaitable[None]],
        utcnow: Callable[[], datetime],
    ) -> None:
        if max_cost is not None and prices is None:
            raise ValueError("a cap on money needs prices")
        self._max_requests = max_requests
        self._max_cost = max_cost
        self._prices = prices
        self._bounds = bounds
        self._sleep = sleep
        self._utcnow = utcnow
        self._turn = asyncio.Lock()  # first come, first served; held only by the one who waits next
        self._ended = asyncio.Event()
        # The mutable state. It changes in _take and the three ends alone, never across an await.
        self._requests = self._in_flight = self._answers = self._longest_seen = 0
        self._was_cut_off = False
        self._spent = self._unsure = self._reserved = Decimal(0)
        self._excess = Decimal(1)

    async def reserve(self, *, input_tokens: int, wants_room: bool = False) -> Reservation:
        """Set aside a request and the money for its worst case.

        Args:
            input_tokens: that it cannot exceed.
            wants_room: the answer may become as long as the model can, as far as there is money for it.

        Raises:
            FatalError: the cap does not allow one more.
        """
        async with self._turn:
            while (reservation := self._take(input_tokens, wants_room=wants_room)) is None:
                await self._wait_for_an_end()
            return reservation

    def set_aside(
        self, *, input_tokens: int, output_tokens: int, prices: Prices | None
    ) -> Reservation | None:
        """Set aside a request of another kind than the run's, at once; None where the caps do not allow it.

        It never waits, and never ends the run: such a request is not what the money is there for.

        Args:
            input_tokens: that it cannot exceed.
            output_tokens: to which its answer is bound.
            prices: of the model that is asked; None where they are not known, and then a cap forbids it.
        """
        if self._max_requests is not None and self._requests >= self._max_requests:
            return None
        amount = Decimal(0)
        if prices is not None:
            at = self._utcnow()
            amount = prices.most(input_tokens=input_tokens, output_tokens=output_tokens, at=at)
        if self._max_cost is not None:
            left = self._max_cost - self._spent - self._reserved
            if prices is None or amount > left:
                return None
        return self._granted(amount, output_tokens, prices=prices, is_aside=True)

    def spending(self) -> Spending:
        """Return how the budget stands."""
        return Spending(
            requests=self._requests,
            spent=self._spent,
            unsure=self._unsure,
            reserved=self._reserved,
            left=None if self._max_cost is None else self._max_cost - self._spent - self._reserved,
        )

    def committed(self) -> Decimal | None:
        """Return what is spent or set aside, in US dollars; None without a cap on money."""
        return None if self._max_cost is None else self._spent + self._reserved

    def settled(self, reservation: Reservation, usage: Usage) -> None:
        """Hear from a reservation what was billed."""
        if not usage.input_tokens and not usage.output_tokens:  # a reply that does not say it
            self.lost(reservation)
            return
        self._release(reservation)
        if not reservation.is_aside:
            self._learn(reservation, usage.output_tokens)
        if reservation.prices is not None:
            cost = reservation.prices.cost(usage, self._utcnow())
            self._spent += cost
            self._compare(reservation, cost)

    def lost(self, reservation: Reservation) -> None:
        """Hear from a reservation that its cost will never be known."""
        self._release(reservation)
        self._spent += reservation.amount
        self._unsure += reservation.amount

    def unused(self, reservation: Reservation, *, sent: bool) -> None:
        """Hear from a reservation that it cost nothing."""
        self._release(reservation)
        self._requests -= not sent

    def _take(self, input_tokens: int, *, wants_room: bool) -> Reservation | None:
        """Return leave for one request, or None when a call in flight may make room for it."""
        if self._max_requests is not None and self._requests >= self._max_requests:
            # Those in flight may turn out never to have been sent.
            self._stop_unless_in_flight(f"the budget of {self._max_requests:,} requests is used up")
            return None
        if self._max_cost is None or self._prices is None:
            longest = self._bounds.longest if wants_room else None
            return self._granted(Decimal(0), longest, prices=self._prices)
        at = self._utcnow()
        left = self._max_cost - self._spent - self._reserved
        tokens = self._affordable(left, input_tokens, at, wants_room=wants_room)
        if tokens is None:
            spent = f"${self._spent:.4f} of ${self._max_cost.normalize():f} is spent"
            self._stop_unless_in_flight(f"{spent}, and the rest may not pay for one more request")
            return None
        amount = self._prices.most(input_tokens=input_tokens, output_tokens=tokens, at=at)
        return self._granted(amount * self._excess, tokens, prices=self._prices)

    def _affordable(self, left: Decimal, input_tokens: int, at: datetime, *, wants_room: bool) -> int | None:
        """Return how long the next answer may be; None when there is no money for one worth having."""
        if self._prices is None:
            return None
        pays_for = self._prices.affordable_output(left / self._excess, input_tokens=input_tokens, at=at)
        wanted = self._bounds.longest if wants_room else self._wanted_tokens()
        least = self._least_tokens()
        # While nothing is known, a short bound may cut off every answer: better to wait for the first.
        if self._in_flight and self._answers < ENOUGH_ANSWERS:
            least = wanted
        return min(wanted, pays_for) if pays_for >= least else None

    def _wanted_tokens(self) -> int:
        seen = max(_LEAST_ROOM_TOKENS, self._bounds.least, _ROOM * self._longest_seen)
        if self._answers < ENOUGH_ANSWERS:
            seen = max(self._bounds.first, seen if self._was_cut_off else 0)
        return min(seen, self._bounds.longest)

    def _least_tokens(self) -> int:
        least = max(self._bounds.least, int(_CLOSE_ROOM * self._longest_seen))
        return min(least, self._wanted_tokens())

    def _granted(
        self,
        amount: Decimal,
        max_output_tokens: int | None,
        *,
        prices: Prices | None,
        is_aside: bool = False,
    ) -> Reservation:
        self._requests += 1
        self._in_flight += 1
        self._reserved += amount
        return Reservation(
            self, amount=amount, max_output_tokens=max_output_tokens, prices=prices, is_aside=is_aside
        )

    def _stop_unless_in_flight(self, sentence: str) -> None:
        if not self._in_flight:
            raise FatalError(StopReason.BUDGET, sentence)

    def _release(self, reservation: Reservation) -> None:
        self._in_flight -= 1
        self._reserved -= reservation.amount
        self._ended.set()

    def _learn(self, reservation: Reservation, output_tokens: int) -> None:
        self._answers += bool(output_tokens)
        self._longest_seen = max(self._longest_seen, output_tokens)
        bound = reservation.max_output_tokens
        self._was_cut_off |= bound is not None and output_tokens >= _CUT_OFF_SHARE * bound

    def _compare(self, reservation: Reservation, cost: Decimal) -> None:
        """Set more aside from now on, should a call ever have cost more than its worst case."""
        if reservation.max_output_tokens is None or cost <= reservation.amount or not reservation.amount:
            return
        log.warning("a call cost $%.4f, more than the $%.4f set aside for it", cost, reservation.amount)
        self._excess = max(self._excess, self._excess * cost / reservation.amount)

    async def _wait_for_an_end(self) -> None:
        """Return when a call in flight has ended; raise what ``sleep`` raises when the run stops."""
        self._ended.clear()
        ended = asyncio.ensure_future(self._ended.wait())
        slept = asyncio.ensure_future(self._sleep(_LOOK_AGAIN_S))
        try:
            await asyncio.wait({ended, slept}, return_when=asyncio.FIRST_COMPLETED)
            if slept.done():
                slept.result()
        finally:
            ended.cancel()
            slept.cancel()
            await asyncio.gather(ended, slept, return_exceptions=True)
