"""Images with chains of calls, for tests about edited prompts.

Each is a chain of calls; every call takes 1,000 tokens in and 10 out, and costs a thousandth of a dollar.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from errors import ErrorKind
from models import Failed, Parameter, Prompt, Succeeded, Usage
from reports.tally import PriceFunction, Tally
from tests.support.outcomes import BASE, attempt, failed, succeeded

Call = tuple[Prompt, ErrorKind | None]

CONTROL = replace(BASE, is_control=True)
STAMP = Prompt(text="Describe the stamp", revision=1, edits=("stamp",))
MORE = Parameter.MORE_OUTPUT_TOKENS
LESS = Parameter.LESS_THINKING
USAGE = Usage(input_tokens=1000, output_tokens=10)


def with_settings(prompt: Prompt, *parameters: Parameter) -> Prompt:
    """Return the prompt of a call with changed settings."""
    return replace(prompt, parameters=parameters)


def example_price(usage: Usage, _: datetime) -> Decimal:
    """Return the cost in US dollars: a millionth for an input token, a thousandth for one of a picture."""
    return usage.input_tokens * Decimal("0.000001") + usage.image_output_tokens * Decimal("0.001")


def image(*calls: Call, key: str = "a.jpg") -> Succeeded | Failed:
    """Return the outcome of these calls, of which only the last may have been answered."""
    attempts = tuple(
        replace(attempt(number, kind, prompt=prompt), usage=USAGE)
        for number, (prompt, kind) in enumerate(calls, start=1)
    )
    last, kind = calls[-1]
    outcome = failed(key, kind) if kind else succeeded(key)
    return replace(outcome, attempts=attempts, prompt=last)


def failed_twice(*calls: Call, kind: ErrorKind = ErrorKind.BLOCKED) -> Succeeded | Failed:
    """Return an image whose first two calls failed with the user's prompt, and then made these."""
    return image((BASE, kind), (BASE, kind), *calls)


def tally_of(outcomes: Iterable[Succeeded | Failed], *, price: PriceFunction = example_price) -> Tally:
    """Return the tally of these images."""
    tally = Tally(price=price)
    for outcome in outcomes:
        tally.add(outcome)
    return tally
