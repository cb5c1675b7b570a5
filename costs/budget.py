"""Budget: the worst case of each request is set aside before it is sent, so that no cap is overrun.

The worst case is kept small: the answer's length is bounded in the request, by the lengths seen before. While
calls are in flight, what they leave over may pay for the next request; if none is and the rest does not pay
for one more, the run stops. A call of unknown cost counts with its whole reservation. See docs/adr/0010.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from costs.pricing import ModelPricing
from costs.token_estimates import AnswerLength
from errors import FatalError, StopReason
from models import Usage

log = logging.getLogger(__name__)

_NO_USAGE = Usage()

ENOUGH_ANSWERS = 5
"""After so many answers, their longest bounds the next."""

_HEADROOM = 4
"""The bound is so many times the longest answer seen."""
_MIN_HEADROOM_TOKENS = 2048
_TIGHT_HEADROOM = Decimal("1.5")
"""The same with little money left."""
_CUT_OFF_SHARE = 0.95
"""An answer that takes at least this share of its bound was probably cut off by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """State of the budget; money in US dollars."""

    requests: int
    """Sent, or about to be sent."""
    spent: Decimal
    """Includes ``unconfirmed``."""
    unconfirmed: Decimal
    """Part of ``spent`` that no reply confirms: calls of unknown cost, with their whole reservations."""
    reserved: Decimal
    """Set aside for calls in flight."""
    remaining: Decimal | None
    """None if unlimited."""


class Reservation:
    """Money for one request; ends with one of ``settle``, ``settle_unknown`` and ``release``."""

    def __init__(
        self,
        budget: "Budget",
        *,
        amount: Decimal,
        max_output_tokens: int | None,
        pricing: ModelPricing | None,
        is_for_optimizer: bool = False,
    ) -> None:
        self.max_output_tokens = max_output_tokens
        """Bound of the answer, to be sent with the request; None if unlimited."""
        self.amount = amount
        self.pricing = pricing
        self.is_for_optimizer = is_for_optimizer
        """True for a question of the optimizer: its length says nothing about answers to images."""
        self._budget = budget
        self._is_open = True

    def settle(self, usage: Usage) -> None:
        """Record what was billed, for an answer or a failure."""
        self._close()
        self._budget.on_settled(self, usage)

    def settle_unknown(self) -> None:
        """Record that the request was sent, at unknown cost."""
        self._close()
        self._budget.on_settled_unknown(self)

    def release(self, *, sent: bool) -> None:
        """Record that nothing was billed: the request was rejected, or not sent."""
        self._close()
        self._budget.on_released(self, sent=sent)

    def _close(self) -> None:
        if not self._is_open:
            raise RuntimeError("the end of a reservation was told twice")
        self._is_open = False


class Budget:
    """Caps on requests and money of one run.

    Args:
        max_requests: the most requests; None if unlimited.
        max_cost: the most money, in US dollars; None if unlimited. Needs ``pricing``.
        pricing: of the model; None if unknown.
        answer_length: how long the model's answers may become.
        wait_for: waits until an event is set; may raise to end the wait (the run stops).
        utcnow: the wall clock: prices go by the day.
    """

    def __init__(
        self,
        *,
        max_requests: int | None,
        max_cost: Decimal | None,
        pricing: ModelPricing | None,
        answer_length: AnswerLength,
        wait_for: Callable[[asyncio.Event], Awaitable[object]],
        utcnow: Callable[[], datetime],
    ) -> None:
        if max_cost is not None and pricing is None:
            raise ValueError("a cap on money needs prices")
        self._max_requests = max_requests
        self._max_cost = max_cost
        self._pricing = pricing
        self._answer_length = answer_length
        self._wait_for = wait_for
        self._utcnow = utcnow
        self._queue_lock = asyncio.Lock()  # first come, first served; its holder waits next
        self._call_ended = asyncio.Event()
        # The mutable state. It changes in _grant and at the three ends alone, never across an await.
        self._requests = self._in_flight = self._answers = self._longest_seen = 0
        self._was_cut_off = False
        self._spent = self._unconfirmed = self._reserved = Decimal(0)
        self._safety_factor = Decimal(1)

    async def reserve(self, *, input_tokens: int, wants_long_answer: bool = False) -> Reservation:
        """Wait until the worst case of a request is covered; return its reservation.

        Args:
            input_tokens: the most that the request may have.
            wants_long_answer: True for the longest answer of the model, as far as the money lasts.

        Raises:
            FatalError: the cap does not allow one more.
        """
        async with self._queue_lock:
            while (reservation := self._try_take(input_tokens, wants_long_answer=wants_long_answer)) is None:
                self._call_ended.clear()
                await self._wait_for(self._call_ended)
            return reservation

    def try_reserve(
        self, *, input_tokens: int, output_tokens: int, pricing: ModelPricing | None
    ) -> Reservation | None:
        """Return a reservation for a question of the optimizer; None if the caps do not allow it now.

        It neither waits nor ends the run: the money is there for the images.

        Args:
            input_tokens: the most that the request may have.
            output_tokens: bound of its answer.
            pricing: of the model that is asked; None if unknown, which a cap on money does not allow.
        """
        if self._max_requests is not None and self._requests >= self._max_requests:
            return None
        amount = Decimal(0)
        if pricing is not None:
            at = self._utcnow()
            amount = pricing.worst_case_cost(input_tokens=input_tokens, output_tokens=output_tokens, at=at)
        if self._max_cost is not None:
            remaining = self._max_cost - self._spent - self._reserved
            if pricing is None or amount > remaining:
                return None
        return self._grant(amount, output_tokens, pricing=pricing, is_for_optimizer=True)

    def status(self) -> BudgetStatus:
        """Return the state of the budget."""
        return BudgetStatus(
            requests=self._requests,
            spent=self._spent,
            unconfirmed=self._unconfirmed,
            reserved=self._reserved,
            remaining=None if self._max_cost is None else self._max_cost - self._spent - self._reserved,
        )

    def committed_cost(self) -> Decimal | None:
        """Return what is spent or set aside, in US dollars; None if unlimited."""
        return None if self._max_cost is None else self._spent + self._reserved

    def on_settled(self, reservation: Reservation, usage: Usage) -> None:
        """Record what a reservation's call was billed; of what cannot be believed, its whole reservation."""
        if usage.at_least or not (usage.input_tokens or usage.output_tokens):
            self.on_settled_unknown(reservation, usage)
            return
        self._close_reservation(reservation)
        if not reservation.is_for_optimizer:
            self._record_length(reservation, usage.output_tokens)
        if reservation.pricing is not None:
            cost = reservation.pricing.cost(usage, self._utcnow())
            self._spent += cost
            self._check_worst_case(reservation, cost)

    def on_settled_unknown(self, reservation: Reservation, at_least: Usage = _NO_USAGE) -> None:
        """Record that the cost of a reservation's call stays unknown, but for these tokens at least."""
        self._close_reservation(reservation)
        pricing = reservation.pricing
        least = pricing.cost(at_least, self._utcnow()) if pricing else Decimal(0)
        amount = max(reservation.amount, least)
        self._spent += amount
        self._unconfirmed += amount
        self._check_worst_case(reservation, least)

    def on_released(self, reservation: Reservation, *, sent: bool) -> None:
        """Record that a reservation's call cost nothing."""
        self._close_reservation(reservation)
        self._requests -= not sent

    def _try_take(self, input_tokens: int, *, wants_long_answer: bool) -> Reservation | None:
        """Return a reservation; None if the end of a call in flight may cover it."""
        if self._max_requests is not None and self._requests >= self._max_requests:
            # Requests in flight may turn out never to have been sent.
            self._stop_unless_in_flight(f"the budget of {self._max_requests:,} requests is used up")
            return None
        if self._max_cost is None or self._pricing is None:
            maximum = self._answer_length.maximum if wants_long_answer else None
            return self._grant(Decimal(0), maximum, pricing=self._pricing)
        at = self._utcnow()
        remaining = self._max_cost - self._spent - self._reserved
        tokens = self._affordable_tokens(remaining, input_tokens, at, wants_long_answer=wants_long_answer)
        if tokens is None:
            spent = f"${self._spent:.4f} of ${self._max_cost.normalize():f} is spent"
            self._stop_unless_in_flight(f"{spent}, and the rest may not pay for one more request")
            return None
        amount = self._pricing.worst_case_cost(input_tokens=input_tokens, output_tokens=tokens, at=at)
        return self._grant(amount * self._safety_factor, tokens, pricing=self._pricing)

    def _affordable_tokens(
        self, remaining: Decimal, input_tokens: int, at: datetime, *, wants_long_answer: bool
    ) -> int | None:
        """Return how long the next answer may be; None if the money is too short for a useful one."""
        if self._pricing is None:
            return None
        affordable = self._pricing.affordable_output_tokens(
            remaining / self._safety_factor, input_tokens=input_tokens, at=at
        )
        target = self._answer_length.maximum if wants_long_answer else self._target_tokens()
        minimum = self._min_tokens()
        # Before enough lengths are known, a short bound may cut off every answer: wait for the first ends.
        if self._in_flight and self._answers < ENOUGH_ANSWERS:
            minimum = target
        return min(target, affordable) if affordable >= minimum else None

    def _target_tokens(self) -> int:
        seen = max(_MIN_HEADROOM_TOKENS, self._answer_length.minimum, _HEADROOM * self._longest_seen)
        if self._answers < ENOUGH_ANSWERS:
            seen = max(self._answer_length.initial, seen if self._was_cut_off else 0)
        return min(seen, self._answer_length.maximum)

    def _min_tokens(self) -> int:
        minimum = max(self._answer_length.minimum, int(_TIGHT_HEADROOM * self._longest_seen))
        return min(minimum, self._target_tokens())

    def _grant(
        self,
        amount: Decimal,
        max_output_tokens: int | None,
        *,
        pricing: ModelPricing | None,
        is_for_optimizer: bool = False,
    ) -> Reservation:
        self._requests += 1
        self._in_flight += 1
        self._reserved += amount
        return Reservation(
            self,
            amount=amount,
            max_output_tokens=max_output_tokens,
            pricing=pricing,
            is_for_optimizer=is_for_optimizer,
        )

    def _stop_unless_in_flight(self, message: str) -> None:
        if not self._in_flight:
            raise FatalError(StopReason.BUDGET, message)

    def _close_reservation(self, reservation: Reservation) -> None:
        self._in_flight -= 1
        self._reserved -= reservation.amount
        self._call_ended.set()

    def _record_length(self, reservation: Reservation, output_tokens: int) -> None:
        self._answers += bool(output_tokens)
        self._longest_seen = max(self._longest_seen, output_tokens)
        bound = reservation.max_output_tokens
        self._was_cut_off |= bound is not None and output_tokens >= _CUT_OFF_SHARE * bound

    def _check_worst_case(self, reservation: Reservation, cost: Decimal) -> None:
        """Update the safety factor if a call cost more than its worst case."""
        if reservation.max_output_tokens is None or cost <= reservation.amount or not reservation.amount:
            return
        log.warning("a call cost $%.4f, more than the $%.4f reserved for it", cost, reservation.amount)
        self._safety_factor = max(self._safety_factor, self._safety_factor * cost / reservation.amount)
