"""Rules of costs/pricing.py and costs/price_book.py: what a call costs on a day."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costs.price_book import estimate_cost
from costs.pricing import ModelPricing, find_pricing, require_pricing, unknown_price_message
from errors import UsageError
from models import Usage

NOVEMBER = datetime(2026, 11, 25, 12, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, 12, tzinfo=UTC)
JANUARY = datetime(2027, 1, 1, 12, tzinfo=UTC)
MILLION = 1_000_000
SHORT = 100_000


def load_pricing(model: str) -> ModelPricing:
    """Return the prices of a model that is known."""
    found = find_pricing(model)
    assert found is not None
    return found


def list_prices(model: str, at: datetime, *, question: int = SHORT) -> tuple[Decimal, Decimal, Decimal]:
    """Return what a million tokens cost of the question, of words and of pictures."""
    pricing = load_pricing(model)

    def cost(words: int = 0, pictures: int = 0) -> Decimal:
        usage = Usage(input_tokens=question, output_tokens=words + pictures, image_output_tokens=pictures)
        return pricing.cost(usage, at)

    asked = cost()
    return asked * MILLION / question, cost(MILLION) - asked, cost(0, MILLION) - asked


def to_decimals(*numbers: int | str) -> tuple[Decimal, ...]:
    """Return exact numbers."""
    return tuple(map(Decimal, numbers))


@pytest.mark.parametrize(
    ("model", "at", "question", "words", "pictures"),
    [
        ("gemini-3.1-flash-lite", NOVEMBER, "0.25", "1.50", "1.50"),
        ("gemini-3.5-flash-lite", NOVEMBER, "0.30", "2.50", "2.50"),
        ("gemini-3.6-flash", NOVEMBER, "0.75", "3.75", "3.75"),
        ("gemini-3.6-flash", JANUARY, "1.50", "7.50", "7.50"),
        ("gemini-3.8-flash", NOVEMBER, "0.75", "3.75", "3.75"),
        ("gemini-3.8-flash", JANUARY, "1.50", "7.50", "7.50"),
        ("gemini-3.1-pro-preview", NOVEMBER, "2", "12", "12"),
        ("gemini-4-hydrogen", NOVEMBER, "1.50", "7.50", "7.50"),
        ("gemini-4-argon", NOVEMBER, "2", "10", "10"),
        ("gemini-4-argon", DECEMBER, "4", "20", "20"),
        ("gemini-4-carbon", NOVEMBER, "2", "10", "10"),
        ("gemini-4-carbon", DECEMBER, "4", "20", "20"),
        ("gemini-2.5-flash", NOVEMBER, "0.30", "2.50", "2.50"),
        ("gemini-2.5-pro", NOVEMBER, "1.25", "10", "10"),
        ("gemini-nano-banana-2.1", NOVEMBER, "1.50", "7.50", "30"),
        ("gemini-3.1-flash-lite-image", NOVEMBER, "0.25", "1.50", "30"),
        ("gemini-3.1-flash-image", NOVEMBER, "0.50", "3", "60"),
        ("gemini-3-pro-image", NOVEMBER, "2", "12", "120"),
        ("nano-banana-pro-preview", NOVEMBER, "2", "12", "120"),
    ],
)
def test_the_price_page(*, model: str, at: datetime, question: str, words: str, pictures: str) -> None:
    """Every model of Google's page of November 2026, by hand: docs/api-facts.md, section 4.5."""
    assert list_prices(model, at) == (Decimal(question), Decimal(words), Decimal(pictures))


def test_a_long_prompt_costs_more() -> None:
    """Above 200,000 tokens the "pro" models double the price of everything."""
    assert list_prices("gemini-3.1-pro-preview", NOVEMBER, question=200_001) == to_decimals(4, 18, 18)
    assert list_prices("gemini-3.1-pro-preview", NOVEMBER, question=200_000) == to_decimals(2, 12, 12)


def test_of_a_model_that_another_answers_for_the_higher_price_counts() -> None:
    """2.5-pro is answered for by 3.8-flash from December on, whose question is dearer from January on."""
    assert list_prices("gemini-2.5-pro", JANUARY) == to_decimals("1.50", 10, 10)


def test_a_picture_of_1k_costs_what_the_page_says() -> None:
    """$0.0336, the thoughts beside it their own price."""
    usage = Usage(input_tokens=0, output_tokens=1120 + 200, image_output_tokens=1120)

    assert load_pricing("gemini-nano-banana-2.1").cost(usage, NOVEMBER) == Decimal("0.0336") + Decimal(
        "0.0015"
    )


@pytest.mark.parametrize("name", ["models/gemini-3.8-flash", "GEMINI-3.8-FLASH", "gemini-flash-latest"])
def test_other_names_of_a_model(name: str) -> None:
    """With its folder, in capitals, or as the latest."""
    assert list_prices(name, NOVEMBER) == list_prices("gemini-3.8-flash", NOVEMBER)


@pytest.mark.parametrize("name", ["nonsense", "gemini-9-neon", "gemini-3.8-flash-image", "", "imagen-4"])
def test_a_model_nobody_knows(name: str) -> None:
    """It has no price, also when its name begins like that of another kind; a cap cannot hold for it."""
    assert find_pricing(name) is None
    with pytest.raises(UsageError) as caught:
        require_pricing(name)
    assert (
        str(caught.value)
        == unknown_price_message(name)
        == f"no price is known for {name}: --max-cost cannot hold"
    )


def test_a_cap_has_its_prices() -> None:
    """The list says which one it is."""
    assert require_pricing("gemini-3.8-flash").source.startswith("genai-prices 0.2")
    assert require_pricing("gemini-4-carbon").source == "Google's price page of November 2026"


def test_a_rise_counts_an_hour_early_when_money_is_set_aside() -> None:
    """A call may be billed by the price at its end; days begin at midnight UTC, whatever the zone."""
    pricing, eve = load_pricing("gemini-4-argon"), datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    usage = Usage(input_tokens=MILLION)

    assert pricing.cost(usage, eve) == 2
    assert pricing.cost(usage, eve.astimezone(timezone(timedelta(hours=9)))) == 2
    assert pricing.worst_case_cost(input_tokens=MILLION, output_tokens=0, at=eve) == 4
    assert pricing.worst_case_cost(input_tokens=MILLION, output_tokens=0, at=eve - timedelta(hours=1)) == 2


MODELS = st.sampled_from(
    ["gemini-3.5-flash-lite", "gemini-3.1-pro-preview", "gemini-nano-banana-2.1", "gemini-4-carbon"]
)


@given(MODELS, st.integers(0, 300_000), st.integers(0, 70_000), st.integers(0, 70_000))
def test_no_call_costs_more_than_its_worst_case(model: str, question: int, words: int, pictures: int) -> None:
    """Whatever the answer is made of."""
    pricing = load_pricing(model)
    usage = Usage(input_tokens=question, output_tokens=words + pictures, image_output_tokens=pictures)
    most = pricing.worst_case_cost(input_tokens=question, output_tokens=words + pictures, at=NOVEMBER)

    assert pricing.cost(usage, NOVEMBER) <= most


@given(MODELS, st.integers(0, 300_000), st.decimals(0, 1, places=6))
def test_what_is_affordable_fits_and_one_token_more_does_not(
    model: str, question: int, money: Decimal
) -> None:
    """To the token; below 0 when the question alone is too dear."""
    pricing = load_pricing(model)
    tokens = pricing.affordable_output_tokens(money, input_tokens=question, at=NOVEMBER)

    assert pricing.worst_case_cost(input_tokens=question, output_tokens=tokens + 1, at=NOVEMBER) > money
    if tokens >= 0:
        assert pricing.worst_case_cost(input_tokens=question, output_tokens=tokens, at=NOVEMBER) <= money


def test_a_model_that_costs_nothing_affords_everything() -> None:
    """Gemma is free of charge."""
    assert (
        load_pricing("gemma-3-27b-it").affordable_output_tokens(Decimal(0), input_tokens=9, at=NOVEMBER)
        > MILLION
    )


def test_prices_need_no_network() -> None:
    """A process that may open no socket and start no thread finds them; importing alone loads no list."""
    code = """
import sys
def forbid(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__" or event == "_thread.start_new_thread":
        raise SystemExit(f"tried {event}")
sys.addaudithook(forbid)
from costs.pricing import find_pricing
assert "genai_prices" not in sys.modules and "pydantic" not in sys.modules
print(find_pricing("gemini-3.5-flash-lite").source)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert run.stdout.startswith("genai-prices"), run.stderr


@pytest.mark.parametrize(
    ("model", "picture", "usual"),
    [
        ("gemini-3.5-flash-lite", 0, "0.0011"),
        ("gemini-3.8-flash", 0, "0.008"),
        ("gemini-nano-banana-2.1", 1120, "0.036"),
    ],
)
def test_an_estimate_embraces_what_is_usual(model: str, picture: int, usual: str) -> None:
    """The cost of an image in docs/api-facts.md, section 4.5, lies in the range, for 1,000 images too."""
    each = Usage(input_tokens=1150, output_tokens=picture + 90, image_output_tokens=picture)
    thousand = Usage(
        input_tokens=1_150_000, output_tokens=1000 * (picture + 90), image_output_tokens=1000 * picture
    )

    low, high = estimate_cost(load_pricing(model), answers=1, simulated=each, at=NOVEMBER)

    assert low < Decimal(usual) < high
    assert estimate_cost(load_pricing(model), answers=1000, simulated=thousand, at=NOVEMBER) == (
        1000 * low,
        1000 * high,
    )
    assert estimate_cost(load_pricing(model), answers=0, simulated=Usage(), at=NOVEMBER) == to_decimals(0, 0)
