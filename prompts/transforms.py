"""Named functions that shorten or restructure a prompt whatever it is about; edits combine them.

A template can only add to a prompt; these functions take away. The set is fixed: no code of a user is run.
"""

import re
from collections.abc import Callable, Mapping

FIRST_WORDS = 40
"""The number of words that ``first_words`` keeps."""

_COURTESY = re.compile(
    r"^\W*(?:(?:please|kindly|hi|hello|hey)\b[\s,!]*|(?:can|could|would|will) you\b\s*"
    r"|i(?:'d| would) like you to\s+|i want you to\s+)+",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\([^()]*\)")
_BLANK_BEFORE_STOP = re.compile(r" ([,.;:!?](?:\s|$))")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")


def drop_asides(text: str) -> str:
    """Return the text without parts in brackets; unchanged if nothing else would be left."""
    left = " ".join(_ASIDE.sub(" ", text).split())
    return _BLANK_BEFORE_STOP.sub(r"\1", left) or text


def drop_courtesies(text: str) -> str:
    """Return the text without "please", "could you" and the like at its beginning."""
    left = _COURTESY.sub("", text)
    if not left or left == text:
        return text
    return left[0].upper() + left[1:] if text.lstrip()[:1].isupper() else left


def first_sentence(text: str) -> str:
    """Return the first sentence, without its full stop."""
    sentence = _SENTENCE_END.split(text.strip(), maxsplit=1)[0].rstrip(".!?;: ")
    return sentence or text


def first_words(text: str) -> str:
    """Return the first ``FIRST_WORDS`` words of the text."""
    words = text.split()
    return text if len(words) <= FIRST_WORDS else " ".join(words[:FIRST_WORDS]).rstrip(",;: ")


def list_sentences(text: str) -> str:
    """Return one line with a dash for each sentence; a single sentence stays as it is."""
    sentences = [one for one in _SENTENCE_END.split(text.strip()) if one]
    return "\n".join(f"- {one}" for one in sentences) if len(sentences) > 1 else text


TRANSFORMS: Mapping[str, Callable[[str], str]] = {
    "drop_asides": drop_asides,
    "drop_courtesies": drop_courtesies,
    "first_sentence": first_sentence,
    "first_words": first_words,
    "list_sentences": list_sentences,
}


def extract_core(prompt: str) -> str:
    """Return the task: the first sentence without courtesies and asides; empty only for a blank prompt."""
    return first_sentence(drop_courtesies(drop_asides(prompt))) or prompt.strip()


def replace_words(text: str, table: Mapping[str, str]) -> str:
    """Return the text with every whole word or phrase of the table replaced, the longest first."""
    if not table:
        return text
    longest_first = sorted(table, key=len, reverse=True)
    phrases = "|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in longest_first)
    known = {" ".join(phrase.lower().split()): words for phrase, words in table.items()}
    return re.sub(
        rf"(?<!\w)(?:{phrases})(?!\w)",
        lambda found: known[" ".join(found.group().lower().split())],
        text,
        flags=re.IGNORECASE,
    )
