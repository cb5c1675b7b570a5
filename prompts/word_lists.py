"""Lists of words that are often to blame for a class of failure, read from TOML files.

They are first guesses only: which words are to blame is learned from the images of the run.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from errors import ErrorKind
from prompts.rules import CURABLE_KINDS

MAX_WORDS = 200
"""Entries of one list."""
MAX_CHARACTERS = 80
"""Characters of an entry, and of its softer wording."""
_FIELDS = frozenset({"serves", "words", "softer"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WordList:
    """Words that are often to blame for some classes."""

    serves: frozenset[ErrorKind]
    words: tuple[str, ...]
    """In small letters; an entry may be several words."""
    softer: Mapping[str, str] = field(default_factory=dict)
    """What may stand in the place of some of them."""

    def find_in(self, text: str) -> tuple[str, ...]:
        """Return the entries that stand in a text as whole words."""
        return tuple(word for word in self.words if _holds(text, word))


def _holds(text: str, words: str) -> bool:
    phrase = r"\s+".join(map(re.escape, words.split()))
    return re.search(rf"(?<!\w){phrase}(?!\w)", text, re.IGNORECASE) is not None


def read_word_list(table: Mapping[str, Any]) -> WordList:
    """Return the list in one ``[[words]]`` table; raise ValueError with what is wrong with it."""
    unknown = sorted(set(table) - _FIELDS)
    if unknown:
        raise ValueError(f'has a field "{unknown[0]}", allowed are {", ".join(sorted(_FIELDS))}')
    kinds, words = _read_strings(table, "serves"), _read_strings(table, "words")
    wrong = next((kind for kind in kinds if kind not in set(CURABLE_KINDS)), None)
    if wrong is not None:
        raise ValueError(f'serves "{wrong}", which is none of {", ".join(sorted(CURABLE_KINDS))}')
    if len(words) > MAX_WORDS:
        raise ValueError(f"has {len(words)} words, more than {MAX_WORDS}")
    softer = table.get("softer", {})
    if not isinstance(softer, dict) or not all(isinstance(one, str) for one in softer.values()):
        raise ValueError('has a "softer" that is not a table of words')
    if any(len(one) > MAX_CHARACTERS for one in (*words, *softer.values())):
        raise ValueError(f"has an entry of more than {MAX_CHARACTERS} characters")
    small = {" ".join(word.lower().split()): text.strip() for word, text in softer.items()}
    foreign = next((word for word in small if word not in words), None)
    if foreign is not None:
        raise ValueError(f'has a softer wording for "{foreign}", which is none of its words')
    return WordList(serves=frozenset(map(ErrorKind, kinds)), words=words, softer=small)


def _read_strings(table: Mapping[str, Any], member: str) -> tuple[str, ...]:
    found: Sequence[object] = table.get(member, [])
    if not isinstance(found, list) or not found:
        raise ValueError(f'needs "{member}", a list of words')
    texts = [" ".join(one.lower().split()) if isinstance(one, str) else "" for one in found]
    if not all(texts):
        raise ValueError(f'has a "{member}" with something else than words')
    return tuple(texts)
