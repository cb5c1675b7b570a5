"""Refusal detection: finds answers in words that decline the whole task.

An answer is a refusal only if it is short and every clause is of a known kind: one at least declines the
task, the others apologize, name a rule or offer something else. In doubt it counts as an answer, because
a reader sees a missed refusal but never a lost description ("Sorry, we're closed" on a sign). English
only: refusals in other languages pass. See docs/prompt-repair-evidence.md, section 1.3.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property

MAX_REFUSAL_CHARACTERS = 700
"""A longer text counts as an answer."""

# Every pattern below is for one clause without markup and without its full stop.

_I = r"(?:i|we) (?:(?:really|simply|just|also|therefore|still|respectfully|politely) )?"
_I_AM = r"(?:i'?m|i am|we'?re|we are) (?:(?:very|so|really|truly|terribly|deeply|just|only|also|still) )?"
_MUST_DECLINE = rf"{_I}(?:must|have to|need to|will have to) (?:respectfully |politely )?(?:decline|refuse)"
_NOT_ABLE = (
    rf"(?:{_I}(?:cannot|can'?t|can not|could not|couldn'?t|won'?t|will not)"
    r"(?: (?:and|or) (?:will not|won'?t|cannot|can'?t))?(?: be able to| be)?"
    rf"|{_MUST_DECLINE} to|{_I}(?:decline|refuse) to"
    rf"|{_I}(?:do not|don'?t) (?:have the (?:ability|capability|capacity) to|feel comfortable"
    r"|(?:feel|think|believe) (?:that )?(?:i|we) (?:can|could|should))"
    rf"|{_I}(?:do not|don'?t)(?= (?:help|assist|provide|generate|create|produce|identify|describe|edit))"
    r"|(?:(?:i|we) would|i'd|we'd) (?:prefer not|rather not)(?: to)?"
    rf"|{_I_AM}(?:not (?:able|allowed|permitted|programmed|designed|willing|going|in a position) to|unable to"
    r"|(?:programmed|designed) not to|not comfortable(?: with)?))"
)
_DO = (
    r"(?:help(?:ing)?|assist(?:ing)?|fulfil+(?:ing)?|comply|complet(?:e|ing)|do(?:ing)?|process(?:ing)?|proceed"
    r"|answer(?:ing)?|respond(?:ing)?|provid(?:e|ing)|generat(?:e|ing)|creat(?:e|ing)|produc(?:e|ing)|mak(?:e|ing)"
    r"|draw(?:ing)?|edit(?:ing)?|alter(?:ing)?|modify(?:ing)?|describ(?:e|ing)|caption(?:ing)?|transcrib(?:e|ing)"
    r"|analy[sz](?:e|ing)|interpret(?:ing)?|discuss(?:ing)?|comment(?:ing)?|continu(?:e|ing)|engag(?:e|ing)"
    r"|carry out|perform|offer(?:ing)?|give|share|depict(?:ing)?|work|hono(?:u)?r|solv(?:e|ing)|form|remove)"
)
_IDENTIFY = r"(?:(?:help |help with )?(?:identify(?:ing)?|recogni[sz](?:e|ing)|describ(?:e|ing)|discuss))"
_TASK = (
    r"(?:requests?|tasks?|prompts?|question|instructions?|images?|pictures?|photos?|photographs?|content|material"
    r"|documents?|descriptions?|captions?|depictions?|assistance|information|conversation|diagnos[ei]s|captchas?"
    r"|opinions?|advice)"
)
_DO_IT = r"(?:\w+ (?:you )?with|do|generate|create|describe)"
_PEOPLE = r"(?:(?:real )?people|persons?|individuals?|celebrit(?:y|ies)|public figures|anyone)"
_PERSON = r"(?:(?:the|this|that|these|those|real|private|specific) )*" + _PEOPLE
# Words before a noun belong to it only if none of them joins two things ("the plant in this photo").
_JOINING = r"(?:in|of|on|at|from|to|with|by|and|or|but|for|as|is|are|was|who|than|without|only|any|no)"
_ITS_OWN = rf"(?:(?!{_JOINING}\b)[\w'-]+ )"
_THIS = r"(?:this|that)(?: one)?(?=$|,| (?:for you|because|as it|since|due)\b)"
_OBJECT = (
    rf"(?:you )?(?:(?:with|on|to|in|about) )?(?:{_THIS}"
    r"|(?:(?:the )?(?:contents?|identity|identities|(?:type|kind|sort)s?) of )?"
    rf"(?:(?:type|kind|sort|style)s? of )?{_ITS_OWN}{{0,4}}?(?:(?:type|kind|sort)s? of {_ITS_OWN}?)?{_TASK})"
)
_TAIL = (
    r"(?:$|,? (?:of|in|from|on|at|for|to|that|which|because|as (?:it|this|they|i|that|doing)|since|due to|or"
    r"|and (?:cannot|can'?t|won'?t|will|have)|if|so (?:i|we)|showing|depicting|containing|involving"
    r"|based on)\b.*)"
)
_THE = r"(?:this|that|your|the) "
_RULES = r"(?:polic(?:y|ies)|guidelines?|rules|terms|principles|safety standards)"
_OUR_RULES = rf"(?:my|our|the|google's) (?:[\w-]+ ){{0,3}}{_RULES}"
_VIOLATES = (
    r"(?:(?:may|might|could|would|appears to|seems to) )?"
    r"(?:violates?|goe?s? against|is against|conflicts? with|falls? outside|breach(?:es)?)"
)


class _LazyPattern:
    """A pattern that is compiled at its first use: saves 40 ms at the start (docs/performance.md)."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        return re.compile(self._pattern, re.IGNORECASE)


def _compile_any_of(*patterns: str) -> _LazyPattern:
    return _LazyPattern(f"(?:{'|'.join(patterns)})")


_REFUSAL_CLAUSE = _compile_any_of(
    rf"{_NOT_ABLE} (?:{_DO} (?:with )?)?{_DO} {_OBJECT}{_TAIL}",
    rf"{_NOT_ABLE} {_OBJECT}$",
    rf"{_NOT_ABLE} {_IDENTIFY} (?:the identity of )?{_PERSON}(?:$| (?:in|from|based on|by)\b[^,]*$)",
    rf"{_NOT_ABLE} (?:help|assist|comply|proceed|continue)(?: you)?$",
    rf"{_NOT_ABLE} (?:view|see|access|open|load|view or analy[sz]e) "
    r"(?:(?:a|an|the|this|that|your|any) )*(?:images?|pictures?|photos?|attachments?|files?)(?: attached)?$",
    rf"{_MUST_DECLINE} (?:this|that|your|the) (?:request|task)$",
    r"unable to (?:comply with|fulfil+|complete|assist with) (?:this|that|your|the) (?:request|task)$",
    rf"unable to (?:generate|create|describe|process) (?:the |this |an )?image due to .*{_RULES}",
    rf"(?:that|this|it)(?:'s| is) something (?:that )?i (?:cannot|can'?t|won'?t|am not able to) {_DO_IT}$",
    rf"(?:that|this|it)(?:'s not| isn't| is not) something i(?: can|'m able to| am able to) {_DO_IT}$",
    r"(?:this|that|your) (?:content|request|image) is not something (?:i|we) (?:can|am able to)\b.*",
    r"(?:that|this|it)(?:'s| is) (?:beyond|outside)(?: of)? (?:what i(?:'m| can)|my (?:\w+ )?capabilities).*",
    # A rule is the subject, or the request would break it.
    rf"{_THE}(?:request|prompt|task) {_VIOLATES} (?:{_OUR_RULES}|what i(?:'m| am) permitted)\b.*",
    rf"{_THE}(?:image|picture|photo|content) {_VIOLATES} (?:my|our|google's) [^,]{{0,30}}{_RULES}\b.*",
    rf"{_DO} (?:this|that|such) .{{0,40}}\b(?:would|may|might) (?:violate|go against) {_OUR_RULES}\b.*",
    rf"(?:the|this) (?:image|picture) (?:cannot|could not) be (?:generated|created) .*{_OUR_RULES}$",
    rf"(?:my|our) (?:[\w-]+ )?{_RULES} (?:(?:do not|don'?t) (?:allow|permit)|prevent|prohibit|forbid)"
    r" (?:(?:me|us) (?:from|to)|the (?:creation|generation)|such) .*",
    rf"it(?:'s| is| would be| wouldn't be) (?:not )?(?:in)?appropriate for me to {_DO} .*",
    rf"it(?:'s| is) against (?:my|our) (?:[\w-]+ )?{_RULES} to (?:{_DO}|{_IDENTIFY}) .*",
)
_FILLER_CLAUSE = _compile_any_of(
    rf"{_I_AM}(?:sorry|afraid)(?: (?:for|about) (?:any|the) \w+| that you're feeling this way)?$",
    r"(?:my |our )?(?:sincere )?apologies$",
    r"(?:i|we) apologi[sz]e(?: for (?:any|the) \w+)?$",
    r"(?:thank you|thanks) for (?:your|sharing|the|asking|reaching)\b",
    r"(?:i|we) (?:understand|appreciate|respect) (?:your|what you|that you)\b",
    rf"{_I_AM}(?:a|an) (?:[\w-]+ ){{0,3}}(?:ai|model|assistant)\b",
    rf"{_I_AM}(?:programmed|designed|here|trained|built) to (?:be|help|assist|provide|follow)\b",
    r"is there (?:anything|something)\b",
    r"(?:please )?(?:try|upload|provide|choose|rephrase|consult|let me know|feel free|contact|see|talk to)\b",
    r"(?:could|can|would|may) you\b",
    r"if (?:you|there)\b",
    r"let's (?:talk|discuss|try)\b",
    r"(?:i|we) (?:can|could)(?:, (?:however|instead),)? (?:help|offer|assist|try|describe|provide|answer"
    r"|discuss|generate|create|suggest)\b",
    r"(?:i'd|i would|i'm|i am|we'd|we would|i'll|i will) (?:be )?(?:happy|glad)\b",
    r"(?:it|(?:the|this) (?:image|picture|photo|content))(?: may| might| appears to| seems to)?"
    r" (?:contains?|depicts?|shows?) (?:sensitive|explicit|sexual|graphic|personal|private|harmful)"
    r"(?: (?:content|material|information))?$",
)
_OPENING = _LazyPattern(
    rf"^(?:(?:{_I_AM}(?:sorry|afraid)|sorry|my apologies|apologies|(?:i|we) apologi[sz]e|unfortunately"
    r"|regrettably|however|no|hmm+|oops|so|and|that|therefore|instead"
    r"|as an? (?:[\w-]+ ){0,3}?(?:ai|model|assistant)(?: (?:language )?(?:model|assistant))?"
    r"(?: (?:developed|made|created|trained) by \w+)?"
    rf"|{_I_AM}(?:a|an) (?:[\w-]+ ){{0,3}}?(?:ai|model|assistant) and(?= (?:can'?t|cannot))"
    r"|while (?:i|we) (?:understand|appreciate) [^,]{1,60}"
    r"|(?:for|due to) (?:[\w-]+ ){0,3}(?:reasons|policies|policy|guidelines)"
    r"|to (?:protect|respect) [\w' ]{1,40}"
    r")(?=[\s,.!\u2014\u2013-]|$)[\s,.!\u2014\u2013-]*)+",
)
_BETWEEN_CLAUSES = re.compile(
    r"(?<=[.!?])\s+|\s*;\s*|\n+|\s+[\u2013\u2014-]\s+"
    r"|,?\s+(?:but|though|although|yet)\s+|,\s+and therefore\s+"
)
_WE = re.compile(r"\b(?:we|our|us|we're)\b", re.IGNORECASE)
_WE_REFUSE = _compile_any_of(
    r"\b(?:this|that|the) (?:request|task|image|picture|photo|content)\b", r"\bprompt\b", r"\bimages? of\b"
)
"""A text with "we" is a refusal only with one of these: signs and error pages say "we" as well."""
_DESCRIBES = _compile_any_of(
    r"\b(?:wears?|wearing|dressed in|visible|in the (?:background|foreground)|on the (?:left|right)"
    r"|looks like|here (?:is|are)|here's|there (?:is an?|are))\b"
)
_REFUSAL_WORDS = (
    *("not", "n't", "can", "couldnt", "wont", "dont", "isnt", "able", "decline", "refuse", "appropriate"),
    *("against", "beyond", "outside", "violate", "conflict", "breach"),
    *("polic", "guideline", "rules", "terms", "principles", "standards"),
)
"""Every refusal holds one of these."""
_FENCE = re.compile(r"^```\w*\s*\n(.*?)\n?```$", re.DOTALL)
_DECORATION = "*_#>`"
_TO_PLAIN_TEXT = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', **dict.fromkeys(_DECORATION)}
)
_STATEMENT_MEMBERS = frozenset(
    {"answer", "caption", "description", "error", "message", "reason", "refusal", "response", "result"}
)
"""Members of a JSON object that hold the model's own words; ``text`` may be the text of a sign."""


def is_refusal(text: str) -> bool:
    """Return True if all of an answer declines the task."""
    stripped = text.strip()
    if not stripped or len(stripped) > MAX_REFUSAL_CHARACTERS or not may_be_refusal(stripped):
        return False
    if fenced := _FENCE.match(stripped):
        stripped = fenced[1].strip()
    if stripped[:1] in {"{", '"'}:
        return _is_json_refusal(stripped)
    return _is_prose_refusal(stripped)


def may_be_refusal(text: str) -> bool:
    """Return False if no pattern can match; takes 6 µs in place of 45 (docs/performance.md)."""
    plain = text.casefold().replace("\u2019", "'").replace("\u2018", "'")
    for sign in _DECORATION:
        plain = plain.replace(sign, "")
    return any(word in plain for word in _REFUSAL_WORDS)


def _is_json_refusal(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _is_prose_refusal(text)
    if isinstance(value, str):
        return _is_prose_refusal(value)
    if not isinstance(value, Mapping):
        return False
    members = {name: member for name, member in value.items() if member}
    return bool(members) and all(
        name.lower() in _STATEMENT_MEMBERS and isinstance(member, str) and _is_prose_refusal(member)
        for name, member in members.items()
    )


def _is_prose_refusal(text: str) -> bool:
    if (
        text.isupper()
        or _DESCRIBES.compiled.search(text)
        or (_WE.search(text) and not _WE_REFUSE.compiled.search(text))
    ):
        return False
    kinds = [_classify_clause(clause) for clause in _split_clauses(text)]
    return True in kinds and None not in kinds


def _split_clauses(text: str) -> Iterator[str]:
    """Yield the clauses of a text without the markup around each."""
    for piece in _BETWEEN_CLAUSES.split(text.translate(_TO_PLAIN_TEXT)):
        clause = " ".join(piece.split())
        start = next((at for at, sign in enumerate(clause) if sign.isalnum()), len(clause))
        if start < len(clause):
            yield clause[start:].rstrip(' ."?,')


def _classify_clause(clause: str) -> bool | None:
    """Return True if it declines, False if it is filler, None if it says something else."""
    if ":" in clause:
        return None
    core = _OPENING.compiled.sub("", clause)
    for words in (core, clause):
        if _REFUSAL_CLAUSE.compiled.match(words):
            return True
    return (
        False
        if not core or _FILLER_CLAUSE.compiled.match(core) or _FILLER_CLAUSE.compiled.match(clause)
        else None
    )
