"""Table of repair rules: what may be tried for each class of failure before a call is paid for.

A quota, an outage or prohibited content never gets another prompt. Where a setting is the cure, it comes
first; the other classes get one second call with the same prompt and then edits. See docs/adr/0011.
Source: docs/prompt-repair-evidence.md, sections 1.1 and 1.4; finish reasons: docs/api-facts.md, section 2.5.
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
    """False: the prompt is never changed, and no further call is made for repair."""
    why: str
    """The reason, as one clause for the user."""
    parameters: tuple[Parameter, ...] = ()
    """Settings that are changed first, in this order, each once, before any edit."""
    is_neutral_only: bool = False
    """Whether only edits marked as neutral may be tried, and at most one of them."""


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
    K.BLOCKED: Rule(is_curable=True, why="an unnamed reason often goes away with an edited prompt"),
    K.RECITATION: Rule(is_curable=True, why="an answer in the model's own words repeats no protected text"),
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
"""One row for every kind; a test checks that none is missing."""

SAFETY_REASONS = frozenset({"SAFETY", "IMAGE_SAFETY"})
"""Raw finish and block reasons of the safety filter (docs/api-facts.md, section 2.5, 2026-11).

Harmless photos are withheld for these too, so there is one neutral try; more would put the account at risk.
"""

_SAFETY_RULE = Rule(is_curable=True, why="the safety filter gets one neutral try", is_neutral_only=True)

CURABLE_KINDS = frozenset(kind for kind, rule in RULES.items() if rule.is_curable)
"""The classes that edits may cure."""


def rule_for(kind: ErrorKind, reason: str = "") -> Rule:
    """Return the rule for a failure; ``reason`` is the raw finish or block reason, empty if unknown."""
    if kind is K.BLOCKED and reason.upper() in SAFETY_REASONS:
        return _SAFETY_RULE
    return RULES[kind]
