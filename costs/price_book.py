"""What does the run know about prices, and what does it say about costs at its end?

Looking prices up takes a quarter of a second, so it is done when there is something to pay for, and every
part that wants a price asks here. A dry run pays nothing: it has no price of a call, only an estimate of
what a real run would cost. This file must not know how a cap is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from costs.budget import Budget
from costs.pricing import ModelPricing, find_pricing, require_pricing, unknown_price_message
from models import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the end of a run knows about money, in US dollars."""

    price_source: str
    """Which list the prices are from, or the sentence that none has them."""
    price_date: date | None = None
    """The day whose prices counted; None when no price is known."""
    at_most: Decimal | None = None
    """What the run can have cost with all it had set aside; None when it set nothing aside."""
    estimate: tuple[Decimal, Decimal] | None = None
    """What a real run will usually cost; for a dry one."""


@dataclass(slots=True, kw_only=True)
class PriceBook:
    """The prices of one run, once they are looked up."""

    model: str
    dry_run: bool
    utcnow: Callable[[], datetime]
    optimizer_model: str | None = None
    """Who may be asked for other words, at prices of its own."""
    pricing: ModelPricing | None = None
    optimizer_pricing: ModelPricing | None = None
    is_looked_up: bool = False

    def require(self) -> None:
        """Look the prices up.

        Raises:
            UsageError: they are not known, so that no cap on money can hold.
        """
        self.pricing, self.is_looked_up = require_pricing(self.model), True
        self.optimizer_pricing = (
            require_pricing(self._paid_optimizer_model) if self._paid_optimizer_model else None
        )

    def look_up(self) -> None:
        """Look the prices up, if that was not done before; blocks for a moment."""
        if not self.is_looked_up:
            self.pricing, self.is_looked_up = find_pricing(self.model), True
            self.optimizer_pricing = (
                find_pricing(self._paid_optimizer_model) if self._paid_optimizer_model else None
            )

    @property
    def _paid_optimizer_model(self) -> str | None:
        return None if self.dry_run else self.optimizer_model

    def price(self, usage: Usage, at: datetime) -> Decimal | None:
        """Return what a call costs that took these tokens; None when nobody knows, and in a dry run."""
        return None if self.pricing is None or self.dry_run else self.pricing.cost(usage, at)

    def summary(self, *, answers: int, usage: Usage, budget: Budget | None) -> Costs | None:
        """Return what is to be said about money at the end; None when nothing was asked."""
        if not self.is_looked_up:
            return None
        if self.pricing is None:
            return Costs(price_source=unknown_price_message(self.model))
        now = self.utcnow()
        estimated = (
            estimate_cost(self.pricing, answers=answers, simulated=usage, at=now) if self.dry_run else None
        )
        return Costs(
            price_source=self.pricing.source,
            price_date=now.astimezone(UTC).date(),
            at_most=budget.committed_cost() if budget else None,
            estimate=estimated,
        )


_PLAIN_TEXT_TOKENS = (100, 800)
"""Where the model thinks little by itself; about 300 tokens were seen (gemini-api.md, section 4)."""
_THINKING_TEXT_TOKENS = (400, 4000)
"""Thoughts have a floor of 2,000 to 3,000 tokens, where there are any (field-notes.md, section 2)."""
_TEXT_BESIDE_IMAGE_TOKENS = (0, 1500)
_EXTRA_CALLS_FACTOR = Decimal("1.1")
"""Retries, and calls in other words: a tenth at most of a usual night."""


def estimate_cost(
    pricing: ModelPricing, *, answers: int, simulated: Usage, at: datetime
) -> tuple[Decimal, Decimal]:
    """Return the least and the most that a real run will usually cost, in US dollars.

    Args:
        pricing: of the model.
        answers: images that the dry run answered.
        simulated: the tokens that their calls were said to take: the question is true to life, of the
            answer only its pictures.
        at: a moment of the day whose prices count.
    """
    image_tokens = simulated.image_output_tokens

    def cost(text_tokens: int) -> Decimal:
        usage = Usage(
            # Per call, so that a long night is not taken for a long prompt.
            input_tokens=simulated.input_tokens // max(1, answers),
            output_tokens=text_tokens + image_tokens // max(1, answers),
            image_output_tokens=image_tokens // max(1, answers),
        )
        return answers * pricing.cost(usage, at)

    low, high = _TEXT_BESIDE_IMAGE_TOKENS if image_tokens else _text_tokens(pricing.model)
    return cost(low), cost(high) * _EXTRA_CALLS_FACTOR


def _text_tokens(model: str) -> tuple[int, int]:
    return _PLAIN_TEXT_TOKENS if "lite" in model.lower() else _THINKING_TEXT_TOKENS
