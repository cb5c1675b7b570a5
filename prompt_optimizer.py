"""Which words might cure an image that keeps failing?

Most failures are not the prompt's: a quota, an outage, a bad image. Those never come here, and a
kind that no edit serves gets no other words. What a prompt can cure is decided by class:

* The first failure of a class asks again with the same words, the cheapest cure there is.
* From the second failure of the same class on, small named edits are tried, each once, each made
  from the user's own prompt and never from another edit, so that the intent is never two steps off.

This file makes no call and knows nothing of retries, files or the wire.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from errors import ErrorKind
from models import Attempt, Prompt

K = ErrorKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptEdit:
    """One small change that keeps the user's intent."""

    name: str
    serves: frozenset[ErrorKind]
    template: str
    """The new prompt; ``{prompt}`` is the user's own, ``{core}`` its first sentence without courtesies."""

    def apply(self, prompt: str) -> str:
        """Return the edited prompt."""
        return self.template.replace("{prompt}", prompt.strip()).replace("{core}", core_of(prompt))


EDITS: tuple[PromptEdit, ...] = (
    PromptEdit(
        name="edit_this_photo",
        serves=frozenset({K.NO_IMAGE}),
        template="Edit this photo and return the edited picture: {prompt}",
    ),
    PromptEdit(
        name="specify",
        serves=frozenset({K.NO_IMAGE, K.BLOCKED}),
        template="{core}: one simple illustration, clean lines, minimal background",
    ),
    PromptEdit(
        name="simplify",
        serves=frozenset({K.NO_IMAGE, K.BLOCKED, K.EMPTY, K.MALFORMED, K.TRUNCATED}),
        template="{core}",
    ),
    PromptEdit(
        name="soften",
        serves=frozenset({K.BLOCKED, K.REFUSED, K.NO_IMAGE}),
        template="{prompt}\n\nStay neutral, friendly and suitable for all ages.",
    ),
    PromptEdit(
        name="state_purpose",
        serves=frozenset({K.REFUSED, K.BLOCKED}),
        template="This is ordinary editorial work on a photo collection. {prompt}",
    ),
    PromptEdit(
        name="own_words",
        serves=frozenset({K.RECITATION}),
        template="{prompt}\n\nUse your own words and your own design; repeat no text or artwork as it is.",
    ),
    PromptEdit(
        name="only_the_gist",
        serves=frozenset({K.RECITATION}),
        template="{core}\n\nGive only the gist, in a new form.",
    ),
    PromptEdit(
        name="shorten_answer",
        serves=frozenset({K.TRUNCATED, K.EMPTY}),
        template="{prompt}\n\nAnswer in at most 80 words.",
    ),
    PromptEdit(
        name="state_output_form",
        serves=frozenset({K.SCHEMA, K.MALFORMED, K.EMPTY, K.REFUSED}),
        template="{prompt}\n\nReturn only the finished result in the form asked for, without any comment.",
    ),
    PromptEdit(
        name="follow_the_form",
        serves=frozenset({K.SCHEMA}),
        template="{prompt}\n\nKeep exactly to the form that is asked for: every field, no other field.",
    ),
)
"""Tried in this order; the cheapest change of intent first."""

CURABLE = frozenset[ErrorKind]().union(*(edit.serves for edit in EDITS))
"""The kinds that words can cure at all."""

RANDOM_KINDS = frozenset({K.EMPTY, K.NO_IMAGE, K.MALFORMED})
"""Kinds that often pass when the same question is simply asked again (gemini-api.md, section 2)."""

_COURTESY = re.compile(
    r"^\W*(?:(?:please|kindly|hi|hello|hey)\b[\s,!]*|(?:can|could|would|will) you\b\s*"
    r"|i(?:'d| would) like you to\s+|i want you to\s+)+",
    re.IGNORECASE,
)
_PICTURE_WORDS = re.compile(
    r"\b(?:convert|turn\b.{0,30}\binto|transform|restyle|stylize|stylise|style|redraw|draw|paint|repaint|render|sketch"
    r"|illustrat\w+|colou?ri[sz]e|cartoon\w*|anime|watercolou?r|pixel art|remove the background"
    r"|replace the background|make it look|generate an? (?:image|picture))\b",
    re.IGNORECASE | re.DOTALL,
)


def core_of(prompt: str) -> str:
    """Return the first sentence of the prompt without courtesies and asides; never empty for words."""
    text = " ".join(re.sub(r"\([^()]*\)", " ", prompt).split())
    text = _COURTESY.sub("", text) or text
    sentence = re.split(r"(?<=[.!?;])\s", text, maxsplit=1)[0].rstrip(".!?;: ")
    return sentence or prompt.strip()


def asks_for_picture(prompt: str) -> bool:
    """Tell whether the words ask for a picture, as far as words can tell."""
    return _PICTURE_WORDS.search(prompt) is not None


class AskAgain:
    """What is done without optimization: one plain second try where the failure is often chance."""

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the prompt for the next call, or None to give the image up."""
        random_failures = sum(attempt.kind in RANDOM_KINDS for attempt in attempts)
        return prompt if attempts[-1].kind in RANDOM_KINDS and random_failures == 1 else None


class PromptOptimizer:
    """Repairs the prompt of an image that fails twice in the same curable class.

    Args:
        base: the user's prompt.
        max_edits: the most edits tried on one image, 0 and more.
    """

    def __init__(self, base: Prompt, *, max_edits: int = 4) -> None:
        self._base = base
        self._max_edits = max_edits

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the prompt for the next call, or None to give the image up.

        ``attempts`` is never empty; its last one failed with ``prompt``.
        """
        kind = attempts[-1].kind
        if kind not in CURABLE:
            return None
        if sum(attempt.kind is kind for attempt in attempts) == 1:
            return prompt
        return self._next_edit(kind, tried={name for attempt in attempts for name in attempt.prompt.edits})

    def _next_edit(self, kind: ErrorKind, tried: Collection[str]) -> Prompt | None:
        if len(tried) >= self._max_edits:
            return None
        for edit in EDITS:
            text = edit.apply(self._base.text)
            if kind in edit.serves and edit.name not in tried and text != self._base.text:
                return Prompt(text=text, revision=len(tried) + 1, edits=(edit.name,))
        return None
