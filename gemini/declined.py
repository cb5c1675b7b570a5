"""Is this answer a sentence that declines the task?

The naive answer looks for "I cannot" or "sorry" anywhere. It throws away paid descriptions of a sign
that says "Sorry, we're closed", and of a picture in which somebody "cannot be identified, but wears a
red coat".

So an answer counts as declined only when all of it is short, opens by declining, in the first person or
as "the image cannot be described", and goes on to describe nothing. Where there is doubt it is an answer:
a refusal that passes is seen by its reader, a description that is thrown away by nobody. English only;
the services decline in the language of the prompt, and words of other languages pass as answers.

Not known here: what is done about it. Source: refusals as in field-notes.md, section 2.1 (2026-11).
"""

import re

LONGEST = 500
"""Characters; who says more than this has said something."""

_APOLOGY = (
    r"(?:(?:i'?m|i am|we'?re|we are) (?:very |so |really |terribly )?(?:sorry|afraid)|sorry|apologies"
    r"|my apologies|i apologi[sz]e|unfortunately|regrettably|as an ai(?: (?:language )?(?:model|assistant))?)"
    r"(?:[,.;:!\u2014-]+| but| that)*\s*"
)
_NOT_ABLE = (
    r"(?:(?:i|we) (?:really |simply |just )?(?:cannot|can'?t|can not|could not|couldn'?t|won'?t|will not"
    r"|must decline|have to decline|decline)"
    r"|(?:i'?m|i am|we'?re|we are) (?:not able|unable|not allowed|not permitted|not programmed"
    r"|not comfortable|not in a position))"
)
_TASK = (
    r"(?:help|assist|fulfil+|comply|complete|do (?:that|this)|process|proceed|answer|respond|provide|generate"
    r"|create|produce|make|draw|edit|describe|analy[sz]e|discuss|continue|engage|support|to (?:that|this)"
    r"|carry out|perform|identify|recogni[sz]e|describing|helping)"
)
_OPENING = re.compile(
    rf"^(?:{_APOLOGY}){{0,3}}(?:{_NOT_ABLE}\b[^.!?]{{0,40}}?\b{_TASK}\b"
    r"|(?:that|this|your) (?:request|task|image|picture|photo)[^.!?]{0,60}\b(?:violates?|goes against"
    r"|is against|conflicts with)\b[^.!?]{0,40}\b(?:polic|guideline|rule|term))",
    re.IGNORECASE,
)
_DESCRIBES = re.compile(
    r"\b(?:(?:image|picture|photo|photograph|scene|it|person|man|woman|which|that|one|sign|text|background"
    r"|foreground)s? (?:clearly |also |does )?(?:shows?|depicts?|features?|displays?|contains?|has|have"
    r"|wears?|is wearing|reads?|says?|appears? to be|seems? to be|looks like|stands?|sits?)"
    r"|here (?:is|are)|here'?s|there (?:is|are)|(?:i|we) (?:can )?(?:see|notice|observe)"
    r"|(?:but|however),? (?:the|an?|he|she|they|his|her|their|in)\b"
    r"|wearing|dressed in|visible|in the background)\b",
    re.IGNORECASE,
)


def is_declined(text: str) -> bool:
    """Tell whether the whole of an answer declines the task."""
    said = " ".join(text.replace("\u2019", "'").replace("*", "").split())
    if not said or len(said) > LONGEST:
        return False
    opening = _OPENING.match(said)
    return opening is not None and _DESCRIBES.search(said, opening.end()) is None
