"""What is decided about a failed image before a single call is spent on it?

The naive answer sends every failure to the same ladder of prompts. So a quota gets new words, a
prohibited picture is argued with (which endangers the account), and an answer that was cut off at its
token limit is asked for again with a longer prompt.

Here every class of failure has one row. What no words can cure never sees any; where a parameter is the
cure, it comes first; what is left gets one plain second call and then edits. This file must not know
which edits exist, what was learned about them, or how a call is made.

Source: field-notes.md, section 2.1 (2026-11); finish reasons as in gemini-api.md (2026-11).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from errors import ErrorKind
from models import Parameter

K = ErrorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How images of one class are treated."""

    is_curable: bool
    """False: words are never changed, and this package never asks again."""
    why: str
    """One clause for people."""
    parameters: tuple[Parameter, ...] = ()
    """Tried first, in this order, each once, before any other words."""
    is_neutral_only: bool = False
    """Only edits that are marked as neutral, and at most one of them."""


def _incurable(why: str) -> Rule:
    return Rule(is_curable=False, why=why)


RULES: Mapping[ErrorKind, Rule] = {
    K.RATE_LIMITED: _incurable("a quota belongs to the project, not to the prompt"),
    K.SERVER: _incurable("the service is broken, whatever the words"),
    K.NETWORK: _incurable("the words did not arrive, or the answer did not"),
    K.TIMEOUT: _incurable("a slow answer needs time, not words"),
    K.PROHIBITED: _incurable("the vendor forbids this content; arguing endangers the account"),
    K.FILE_UNAVAILABLE: _incurable("the file is at fault"),
    K.INVALID_REQUEST: _incurable("the request is wrong for every prompt of this run alike"),
    K.BLOCKED: Rule(is_curable=True, why="an unnamed reason often goes away with other words"),
    K.RECITATION: Rule(is_curable=True, why="an answer in the model's own words repeats nobody's"),
    K.TRUNCATED: Rule(
        is_curable=True,
        why="room for the answer first, then a shorter answer",
        parameters=(Parameter.MORE_OUTPUT_TOKENS, Parameter.LESS_THINKING),
    ),
    K.EMPTY: Rule(is_curable=True, why="often chance; if it stays, a smaller task"),
    K.NO_IMAGE: Rule(
        is_curable=True,
        why="the order for a picture alone first, then a clear order for one",
        parameters=(Parameter.PICTURE_ONLY,),
    ),
    K.MALFORMED: Rule(is_curable=True, why="often chance; if it stays, plainer words"),
    K.SCHEMA: Rule(is_curable=True, why="the form can be said more clearly"),
    K.REFUSED: Rule(is_curable=True, why="a stated purpose and a narrow task are declined less often"),
}
"""One row for every kind; a test holds that none is missing."""

SAFETY_REASONS = frozenset({"SAFETY", "IMAGE_SAFETY"})
"""Raw finish and block reasons of the safety filter (gemini-api.md, 2026-11).

Harmless photos are withheld for these too, so one neutral try is fair; a second one would be arguing.
"""

_SAFETY_RULE = Rule(is_curable=True, why="the safety filter gets one neutral try", is_neutral_only=True)

CURABLE_KINDS = frozenset(kind for kind, rule in RULES.items() if rule.is_curable)
"""The classes that edits may serve."""


def rule_for(kind: ErrorKind, reason: str = "") -> Rule:
    """Return the rule for a failure; ``reason`` is the service's own word for it, as it came."""
    if kind is K.BLOCKED and reason.upper() in SAFETY_REASONS:
        return _SAFETY_RULE
    return RULES[kind]
