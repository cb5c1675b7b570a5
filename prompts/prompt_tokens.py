"""Words of a prompt with their places, so that what is left of it stays as the user wrote it."""

import re
from collections.abc import Iterator

_TOKEN = re.compile(r"\S+")
_EDGE_SIGNS = "\"'.,;:!?()\u201c\u201d\u2018\u2019-\u2013\u2014*\u2022#"


def strip_signs(word: str) -> str:
    """Return a word in small letters without the signs around it."""
    return word.strip(_EDGE_SIGNS).lower()


class PromptTokens:
    """The words of one prompt, by their position."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self._spans = [found.span() for found in _TOKEN.finditer(prompt)]
        self.words = [strip_signs(prompt[start:end]) for start, end in self._spans]
        """In small letters, without signs."""

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self._spans)

    def text(self, token: int) -> str:
        """Return a word as it stands, with its signs."""
        start, end = self._spans[token]
        return self.prompt[start:end]

    def blank_before(self, token: int) -> str:
        """Return the blanks and line breaks before a word."""
        return self.prompt[self._spans[token - 1][1] if token else 0 : self._spans[token][0]]

    def find(self, phrase: str) -> Iterator[list[int]]:
        """Yield the positions of a phrase, wherever it stands."""
        wanted = [strip_signs(word) for word in phrase.split()]
        for start in range(len(self.words) - len(wanted) + 1 if wanted else 0):
            if self.words[start : start + len(wanted)] == wanted:
                yield list(range(start, start + len(wanted)))
