"""Prices of one call: by model, by day (UTC), and by the length of the prompt, in exact decimals.

The list is that of genai-prices, bundled and read without a network; what it lacks is in a table here.
Compared with Google's price page by hand: docs/api-facts.md, section 4, November 2026. The price kept for
``gemini-3.5-flash`` is its own, though 3.6, which costs less, has answered for it since 2026-10-08.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache

from errors import UsageError
from models import Usage

CURRENCY = "USD"

LONG_PROMPT_TOKENS = 200_000
"""Above this the prices of Google's "pro" models are higher (price page, November 2026)."""

_PER_MILLION = Decimal(1_000_000)
_UNBOUNDED_TOKENS = 10**9
_IN_FLIGHT_TIME = timedelta(hours=1)
"""A rise counts this much early when money is set aside: a call may be billed by the price of its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a million tokens cost, in US dollars."""

    input: Decimal
    """Words and pictures alike: no model of Google's has two prices for them."""
    output: Decimal
    """Words of the answer, and thoughts."""
    image: Decimal
    """Of a picture in the answer; for a model without pictures the same as words."""

    @property
    def highest_output(self) -> Decimal:
        """What a token of the answer costs when it is not known what it belongs to."""
        return max(self.output, self.image)

    def max_with(self, other: "Rates") -> "Rates":
        """Return the higher of both prices, each for itself."""
        return Rates(
            input=max(self.input, other.input),
            output=max(self.output, other.output),
            image=max(self.image, other.image),
        )


RateLookup = Callable[[date, bool], Rates]
"""The prices on a day (UTC), for a prompt that is long or not."""


class ModelPricing:
    """What calls to one model cost.

    Args:
        model: its id.
        source: where the prices are from, for people.
        rates: the prices.
    """

    def __init__(self, model: str, source: str, rates: RateLookup) -> None:
        self.model = model
        self.source = source
        self._rates = cache(rates)

    def cost(self, usage: Usage, at: datetime) -> Decimal:
        """Return what a call costs that was billed for these tokens, in US dollars."""
        rates = self._rates_at(at, usage.input_tokens)
        image_tokens = min(usage.image_output_tokens, usage.output_tokens)
        text_tokens = usage.output_tokens - image_tokens
        total = usage.input_tokens * rates.input + text_tokens * rates.output + image_tokens * rates.image
        return total / _PER_MILLION

    def worst_case_cost(self, *, input_tokens: int, output_tokens: int, at: datetime) -> Decimal:
        """Return what a call that is sent now can cost at most: all of its answer at the dearest price."""
        rates = self._highest_rates(at, input_tokens)
        return (input_tokens * rates.input + output_tokens * rates.highest_output) / _PER_MILLION

    def affordable_output_tokens(self, money: Decimal, *, input_tokens: int, at: datetime) -> int:
        """Return how long an answer this money pays for in any case; below 0 when not even the question."""
        rates = self._highest_rates(at, input_tokens)
        remaining = money * _PER_MILLION - input_tokens * rates.input
        if remaining < 0:
            return -1
        return int(remaining / rates.highest_output) if rates.highest_output else _UNBOUNDED_TOKENS

    def _highest_rates(self, at: datetime, input_tokens: int) -> Rates:
        return self._rates_at(at, input_tokens).max_with(self._rates_at(at + _IN_FLIGHT_TIME, input_tokens))

    def _rates_at(self, at: datetime, input_tokens: int) -> Rates:
        return self._rates(at.astimezone(UTC).date(), input_tokens > LONG_PROMPT_TOKENS)


def find_pricing(model: str) -> ModelPricing | None:
    """Return the prices of a model; None if unknown (``unknown`` gives the sentence then).

    The first call loads the price list: 0.23 s and 26 MB alone, 0.05 s beside the SDK (0.2.3, 2 cores).
    """
    name = model.lower().removeprefix("models/")
    if name in _UNLISTED:
        return ModelPricing(model, _UNLISTED_SOURCE, _UNLISTED[name])
    return _find_listed(name, model)


def require_pricing(model: str) -> ModelPricing:
    """Return the prices of a model for which ``--max-cost`` is to hold.

    Raises:
        UsageError: they are not known, and so nothing may be sent.
    """
    pricing = find_pricing(model)
    if pricing is None:
        raise UsageError(unknown_price_message(model))
    return pricing


def unknown_price_message(model: str) -> str:
    """Return what is to be said about a model whose prices are not known."""
    return f"no price is known for {model}: --max-cost cannot hold"


def _find_listed(name: str, model: str) -> ModelPricing | None:
    """Look the model up in the price list; a day is enough to see whether it is there."""
    from genai_prices import __version__  # noqa: PLC0415

    def rates(day: date, is_long: bool) -> Rates:  # noqa: FBT001 - the key of a cache
        listed = _calculate_rates(name, day, is_long=is_long)
        if name in _REROUTED and day >= _REROUTED[name][1]:
            return listed.max_with(_calculate_rates(_REROUTED[name][0], day, is_long=is_long))
        return listed

    try:
        some_day = rates(date(2026, 11, 1), False)  # noqa: FBT003 - the key of a cache
    except LookupError:
        return None
    # The list goes by how names begin. What it takes for an earlier model without pictures is unknown.
    if any(word in name for word in ("image", "banana")) and some_day.image == some_day.output:
        return None
    return ModelPricing(model, f"genai-prices {__version__}", rates)


def _calculate_rates(name: str, day: date, *, is_long: bool) -> Rates:
    """Return the list's prices; found by asking for a million tokens of each kind, tiers and all.

    Raises:
        LookupError: the list does not know the model.
    """
    from genai_prices import Usage as Tokens  # noqa: PLC0415
    from genai_prices import calc_price  # noqa: PLC0415

    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)

    def price(tokens: Tokens) -> Decimal:
        return calc_price(tokens, name, provider_id="google", genai_request_timestamp=noon).total_price

    million = 1_000_000
    prompt_tokens = million if is_long else LONG_PROMPT_TOKENS // 2
    prompt_price = price(Tokens(input_tokens=prompt_tokens))
    text_price = price(Tokens(input_tokens=prompt_tokens, output_tokens=million))
    image_price = price(
        Tokens(input_tokens=prompt_tokens, output_tokens=million, output_image_tokens=million)
    )
    return Rates(
        input=prompt_price * million / prompt_tokens,
        output=text_price - prompt_price,
        image=image_price - prompt_price,
    )


_REROUTED = {
    "gemini-2.5-flash": ("gemini-3.5-flash-lite", date(2026, 12, 1)),
    "gemini-2.5-pro": ("gemini-3.8-flash", date(2026, 12, 1)),
}
"""Models that another one answers for from a day on. By which price is unknown: the higher one counts.
Source: docs/api-facts.md, section 4, November 2026."""

_UNLISTED_SOURCE = "Google's price page of November 2026"


def _text_rates(prompt_price: str, output_price: str) -> Rates:
    return Rates(input=Decimal(prompt_price), output=Decimal(output_price), image=Decimal(output_price))


def _hydrogen_rates(_day: date, _is_long: bool) -> Rates:  # noqa: FBT001 - the key of a cache
    return _text_rates("1.50", "7.50")


def _carbon_rates(day: date, _is_long: bool) -> Rates:  # noqa: FBT001 - the key of a cache
    return _text_rates("2", "10") if day < date(2026, 12, 1) else _text_rates("4", "20")


def _banana_pro_rates(_day: date, _is_long: bool) -> Rates:  # noqa: FBT001 - the key of a cache
    """The name under which gemini-3-pro-image came out."""
    return Rates(input=Decimal(2), output=Decimal(12), image=Decimal(120))


_UNLISTED: dict[str, RateLookup] = {
    "gemini-4-hydrogen": _hydrogen_rates,
    "gemini-4-carbon": _carbon_rates,
    "nano-banana-pro-preview": _banana_pro_rates,
}
"""Models that genai-prices 0.2.3 does not know. Source: docs/api-facts.md, section 4, November 2026."""
