"""Which budgets do the tests of money play with? Real prices, real bounds, a clock that stands still."""

from datetime import UTC, datetime
from decimal import Decimal

from budget import Budget
from models import Usage
from spending.prices import Tariff, tariff_of
from spending.tokens import answer_length
from stopping import Stop

TODAY = datetime(2026, 11, 25, 12, tzinfo=UTC)
MODEL = "gemini-3.5-flash-lite"
PICTURES = "gemini-nano-banana-2.1"
INPUT_TOKENS = 1200


def tariff(model: str = MODEL) -> Tariff:
    """Return real prices."""
    found = tariff_of(model)
    assert found is not None
    return found


def budget(
    max_cost: Decimal | str | None = None,
    *,
    max_requests: int | None = None,
    model: str = MODEL,
    stop: Stop | None = None,
) -> Budget:
    """Return a budget at today's prices."""
    return Budget(
        max_requests=max_requests,
        max_cost=None if max_cost is None else Decimal(max_cost),
        prices=tariff(model),
        bounds=answer_length(model, wants_images=model == PICTURES),
        sleep=(stop or Stop()).sleep,
        utcnow=lambda: TODAY,
    )


def took(output_tokens: int, *, pictures: int = 0) -> Usage:
    """Return what a call took."""
    return Usage(input_tokens=INPUT_TOKENS, output_tokens=output_tokens, image_output_tokens=pictures)
