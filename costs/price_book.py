"""Price book: the prices of one run, looked up once, and what is said about costs at its end.

A look-up takes 0.2 s of CPU, so it is done once there is something to pay for, in a thread beside the first
calls. A dry run pays nothing: its calls have no price, but what a real run would cost is estimated.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Lock

from costs.budget import Budget
from costs.pricing import ModelPricing, find_pricing, require_pricing, unknown_price_message
from models import IMAGE_OUTPUT_TOKENS, Usage


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
    """The prices of one run; every method that needs them waits for the look-up, in whatever thread."""

    model: str
    dry_run: bool
    utcnow: Callable[[], datetime]
    optimizer_model: str | None = None
    """The model that proposes prompts, at prices of its own; None if there is none."""
    pricing: ModelPricing | None = None
    """None if unknown, or not looked up yet."""
    optimizer_pricing: ModelPricing | None = None
    is_looked_up: bool = False
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def require(self) -> None:
        """Look the prices up.

        Raises:
            UsageError: they are not known, so that no cap on money can hold.
        """
        self._find(require_pricing)

    def look_up(self) -> None:
        """Look the prices up, if that was not done before; blocks until it is done."""
        with self._lock:
            if not self.is_looked_up:
                self._find(find_pricing)

    def prepare(self) -> None:
        """Look up what ``price`` needs, so that it does not block any more."""
        if not (self.is_looked_up or self.dry_run):
            self.look_up()

    def price(self, usage: Usage, at: datetime) -> Decimal | None:
        """Return what a call costs that took these tokens; None if unknown, and in a dry run."""
        self.prepare()
        if self.pricing is None or self.dry_run or usage.at_least:
            return None
        return self.pricing.cost(usage, at)

    def summary(self, *, answers: int, usage: Usage, budget: Budget | None) -> Costs | None:
        """Return what is to be said about money at the end; None if no image was to be asked about."""
        if budget is not None:
            self.look_up()
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

    def estimate_again(self, usage: Usage, *, answers: int, makes_pictures: bool) -> Decimal | None:
        """Return about what it costs to ask again what took these tokens; None if unknown; blocks."""
        self.look_up()
        if self.pricing is None or not usage.output_tokens:
            return None
        pictures = answers * IMAGE_OUTPUT_TOKENS["1K"] if makes_pictures else 0
        return self.pricing.cost(
            Usage(
                input_tokens=usage.input_tokens,
                output_tokens=max(usage.output_tokens, pictures),
                image_output_tokens=pictures,
            ),
            self.utcnow(),
        )

    def _find(self, find: Callable[[str], ModelPricing | None]) -> None:
        self.pricing = find(self.model)
        if self.optimizer_model and not self.dry_run:
            self.optimizer_pricing = find(self.optimizer_model)
        self.is_looked_up = True


_PLAIN_TEXT_TOKENS = (100, 800)
"""Where the model thinks little by itself; about 300 tokens were seen (docs/api-facts.md, section 4.5)."""
_THINKING_TEXT_TOKENS = (400, 4000)
"""Thoughts take at least 2,000 to 3,000 tokens (docs/prompt-repair-evidence.md, section 1.2)."""
_TEXT_BESIDE_IMAGE_TOKENS = (0, 1500)
_EXTRA_CALLS_FACTOR = Decimal("1.1")
"""Retries and calls with edited prompts are at most a tenth of a usual run."""


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
            # Per call, so that a long run is not taken for a long prompt.
            input_tokens=simulated.input_tokens // max(1, answers),
            output_tokens=text_tokens + image_tokens // max(1, answers),
            image_output_tokens=image_tokens // max(1, answers),
        )
        return answers * pricing.cost(usage, at)

    low, high = _TEXT_BESIDE_IMAGE_TOKENS if image_tokens else _text_tokens(pricing.model)
    return cost(low), cost(high) * _EXTRA_CALLS_FACTOR


def _text_tokens(model: str) -> tuple[int, int]:
    return _PLAIN_TEXT_TOKENS if "lite" in model.lower() else _THINKING_TEXT_TOKENS
