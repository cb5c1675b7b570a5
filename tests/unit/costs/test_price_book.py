"""Rules of costs/price_book.py: when prices are looked up, and which methods wait for that."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier

import pytest

from costs.price_book import PriceBook
from errors import UsageError
from models import Usage
from tests.support.budgets import new_budget

NOVEMBER = datetime(2026, 11, 20, tzinfo=UTC)
MILLION = Usage(input_tokens=100_000, output_tokens=1_000_000)
PRICE = Decimal("2.53")
"""Of that usage with the default model. Source: docs/api-facts.md, section 4.5, November 2026."""
THREADS = 8


def new_book(*, model: str = "gemini-3.5-flash-lite", dry_run: bool = False) -> PriceBook:
    """Return a book in which nothing is looked up yet."""
    return PriceBook(model=model, dry_run=dry_run, utcnow=lambda: NOVEMBER)


def test_a_price_waits_for_the_look_up_in_every_thread() -> None:
    """No call's cost is lost, however early its answer comes, and the prices are looked up once."""
    book, together = new_book(), Barrier(THREADS)

    def price() -> tuple[Decimal | None, int]:
        together.wait()
        return book.price(MILLION, NOVEMBER), id(book.pricing)

    with ThreadPoolExecutor(THREADS) as threads:
        prices = [one.result() for one in [threads.submit(price) for _ in range(THREADS)]]

    assert prices == [(PRICE, id(book.pricing))] * THREADS


def test_a_dry_run_looks_prices_up_for_its_estimate_alone() -> None:
    """Its calls cost nothing; at its end the usual cost of a real run is estimated."""
    book = new_book(dry_run=True)

    book.prepare()
    assert (book.price(MILLION, NOVEMBER), book.is_looked_up) == (None, False)

    costs = book.summary(answers=1, usage=MILLION, budget=new_budget())
    assert costs is not None
    assert costs.estimate is not None


def test_a_run_that_sent_nothing_looks_nothing_up() -> None:
    """Without a budget there was nothing to ask, and there is nothing to say about money."""
    book = new_book()

    assert book.summary(answers=0, usage=Usage(), budget=None) is None
    assert not book.is_looked_up


def test_the_end_waits_for_the_look_up() -> None:
    """A run that is stopped before its first answer still names the price list."""
    costs = new_book().summary(answers=0, usage=Usage(), budget=new_budget())

    assert costs is not None
    assert costs.price_source.startswith("genai-prices")


def test_a_cap_needs_prices() -> None:
    """Where no price is known, ``require`` refuses the run; without a cap the run goes on without prices."""
    unknown = new_book(model="no-such-model")

    with pytest.raises(UsageError, match="no price is known for no-such-model"):
        unknown.require()
    assert unknown.price(MILLION, NOVEMBER) is None


def test_asking_again_costs_about_what_it_took() -> None:
    """Words go by the earlier answers' tokens, pictures by their number; unknown tokens have no price."""
    book = new_book()
    words = book.estimate_again(MILLION, answers=10, makes_pictures=False)
    pictures = book.estimate_again(Usage(input_tokens=10, output_tokens=1), answers=10, makes_pictures=True)

    assert words == book.price(MILLION, NOVEMBER)
    assert pictures == book.price(
        Usage(input_tokens=10, output_tokens=11_200, image_output_tokens=11_200), NOVEMBER
    )
    assert book.estimate_again(Usage(), answers=10, makes_pictures=False) is None
    assert new_book(model="no-such-model").estimate_again(MILLION, answers=1, makes_pictures=False) is None
