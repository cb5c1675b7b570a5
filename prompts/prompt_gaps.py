"""Writing of a prompt from which parts were left out, with the gaps mended."""

import re
from collections.abc import Collection, Mapping

from prompts.prompt_tokens import PromptTokens

_AN = re.compile(r"(?:[aeio](?!ne\b|u)|un(?!i)|h(?:our|onest|ono|eir))", re.IGNORECASE)
_DANGLING = re.compile(r"\s+(?:and|or)(?=[.!?,;]|\s*$)", re.IGNORECASE)


class GapMender:
    """Writes a prompt without some of its words.

    Args:
        tokens: the words of the prompt.
        modifiers: those that are adjectives, adverbs or phrases inside a clause.
    """

    def __init__(self, tokens: PromptTokens, modifiers: Collection[int]) -> None:
        self._tokens = tokens
        self._modifiers = modifiers

    def write(self, left_out: Collection[int], put_in: Mapping[int, str]) -> str:
        """Return the words that are left; ``put_in`` has what stands at the place of some that are not."""
        gone = set(left_out).union(*(self._between_modifiers(token) for token in left_out))
        pieces: list[str] = []
        is_after_gap = False
        for token in range(len(self._tokens)):
            blank = self._tokens.blank_before(token)
            if token in gone and token not in put_in:
                self._close_gap(pieces, token, gone)
                pieces += [blank] if "\n" in blank and pieces else []
                is_after_gap = True
                continue
            text = self._tokens.text(token)
            if token in put_in:
                text = put_in[token] + (text[-1] if text[-1] in ",;:.!?" else "")
            if is_after_gap or token in put_in:
                text = self._begin_after_gap(pieces, text, token, gone)
            pieces += [blank if pieces and not pieces[-1].endswith("\n") else "", text]
            is_after_gap = False
        return _DANGLING.sub("", "".join(pieces)).strip(" \n,;:\u2013\u2014-")

    def _between_modifiers(self, token: int) -> set[int]:
        """Return the "and" between this adjective and another one, which goes with it."""
        return {
            one
            for one, other in ((token - 1, token - 2), (token + 1, token + 2))
            if {token, other} <= set(self._modifiers) and self._tokens.words[one] in {"and", "or"}
        }

    def _close_gap(self, pieces: list[str], token: int, gone: Collection[int]) -> None:
        """Let the text before a gap end as the words in the gap did."""
        text = self._tokens.text(token)
        end = re.search(r"[.!?]+$", text)
        if not pieces or not pieces[-1].strip():
            return
        before = next((one for one in range(token - 1, -1, -1) if one not in gone), -1)
        if end:
            left = pieces[-1].rstrip(",;: \u2013\u2014-")
            pieces[-1] = left if left[-1:] in {".", "!", "?"} else left + end.group()
        elif token in self._modifiers and before in self._modifiers and not text.endswith(","):
            pieces[-1] = pieces[-1].rstrip(",")

    def _begin_after_gap(self, pieces: list[str], text: str, token: int, gone: Collection[int]) -> str:
        """Return the first word after a gap; the article before it may change."""
        if self._is_sentence_start(token, gone):
            return text[:1].upper() + text[1:]
        if pieces and pieces[-1].lower() in {"a", "an"}:
            pieces[-1] = pieces[-1][0] + ("n" if _AN.match(text) else "")
        return text

    def _is_sentence_start(self, token: int, gone: Collection[int]) -> bool:
        left = next((one for one in range(token - 1, -1, -1) if one not in gone), None)
        return left is None or any(
            re.search(r"[.!?][\"')\u201d]*$", self._tokens.text(one)) for one in range(left, token)
        )
