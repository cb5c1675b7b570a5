"""What would a real run cost, as a dry run can tell?

One number would be a lie: nobody knows how long answers will be, or how many thoughts come before them.
So there are two, from answers that are short and from answers that are long. This file asks nobody.
"""

from datetime import datetime
from decimal import Decimal

from models import Usage
from spending.prices import Tariff

_PLAIN_WORDS = (100, 800)
"""Where the model thinks little by itself; about 300 tokens were seen (gemini-api.md, section 4)."""
_THOUGHTFUL_WORDS = (400, 4000)
"""Thoughts have a floor of 2,000 to 3,000 tokens, where there are any (field-notes.md, section 2)."""
_BESIDE_A_PICTURE = (0, 1500)
_CALLS_AGAIN = Decimal("1.1")
"""Retries, and calls in other words: a tenth at most of a usual night."""


def estimate(tariff: Tariff, *, answers: int, simulated: Usage, at: datetime) -> tuple[Decimal, Decimal]:
    """Return the least and the most that a real run will usually cost, in US dollars.

    Args:
        tariff: of the model.
        answers: images that the dry run answered.
        simulated: the tokens that their calls were said to take: the question is true to life, of the
            answer only its pictures.
        at: a moment of the day whose prices count.
    """
    pictures = simulated.image_output_tokens

    def cost(words: int) -> Decimal:
        usage = Usage(
            # Per call, so that a long night is not taken for a long prompt.
            input_tokens=simulated.input_tokens // max(1, answers),
            output_tokens=words + pictures // max(1, answers),
            image_output_tokens=pictures // max(1, answers),
        )
        return answers * tariff.cost(usage, at)

    low, high = _BESIDE_A_PICTURE if pictures else _words_of(tariff.model)
    return cost(low), cost(high) * _CALLS_AGAIN


def _words_of(model: str) -> tuple[int, int]:
    return _PLAIN_WORDS if "lite" in model.lower() else _THOUGHTFUL_WORDS
