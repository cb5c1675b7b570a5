"""Parts of a prompt that can be left out: sentences, clauses and modifiers, in a tree.

The task stays: the first clause with a verb of a task, and its object; so do words that the user keeps, and
lines with code. Leaving a part out leaves out the parts inside it. English grammar is guessed from small
lists of words (``grammar``); in other languages sentences and clauses between commas are found.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prompts.clause_tree import ClauseTree, Node, walk
from prompts.prompt_gaps import GapMender
from prompts.prompt_tokens import PromptTokens, strip_signs

MAX_PARTS = 48
"""Parts of a prompt; of a longer one the last modifiers, then the last clauses, are no parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part that can be left out."""

    number: int
    """From 1 on, in the order of the prompt."""
    words: str
    """Its own words and those of the parts inside it."""
    tokens: frozenset[int]
    """Positions of these words in the prompt."""
    own_tokens: frozenset[int]
    """Those of its own words."""
    mask: int
    """The bits of this part and of all parts inside it; bit ``number - 1`` is its own."""


class PromptParts:
    """The parts of one prompt.

    Args:
        prompt: the user's prompt.
        keep: words that stay.
        phrases: words that are one part wherever they stand, such as "word for word".
    """

    def __init__(self, prompt: str, *, keep: Sequence[str] = (), phrases: Iterable[str] = ()) -> None:
        self._tokens = PromptTokens(prompt)
        tree = ClauseTree(self._tokens, phrases=phrases)
        self._mender = GapMender(self._tokens, tree.modifiers)
        kept = {token for words in keep for run in self._tokens.find(words) for token in run}
        for node in walk(tree.roots):
            if kept.intersection(node.tokens):
                node.hold()
        self.parts = self._number(tree.roots)
        free = {token for part in self.parts for token in part.tokens}
        self._task_tokens = [token for token in range(len(self._tokens)) if token not in free]
        self.by_number: Mapping[int, Part] = {part.number: part for part in self.parts}

    def __len__(self) -> int:
        """Return the number of parts."""
        return len(self.parts)

    def without(self, mask: int, *, softer: Mapping[int, str] | None = None) -> str:
        """Return the prompt without these parts; ``softer`` has words that stand in the place of some."""
        gone: set[int] = set()
        put_in: dict[int, str] = {}
        for part in self.parts:
            if mask >> (part.number - 1) & 1:
                gone |= part.tokens
                if softer and part.number in softer:
                    put_in[min(part.tokens)] = softer[part.number]
        return self._mender.write(gone, put_in) if gone else self._tokens.prompt

    def missing_in(self, text: str) -> int:
        """Return the mask of the parts that another prompt does not say.

        The bit after the last part is set if it does not say the task in full.
        """
        words = [strip_signs(word) for word in text.split()]
        mask = 0
        for part in self.parts:
            own = [self._tokens.words[token] for token in sorted(part.own_tokens)]
            starts = range(len(words) - len(own) + 1)
            if not any(words[start : start + len(own)] == own for start in starts):
                mask |= 1 << (part.number - 1)
        task = [self._tokens.words[token] for token in self._task_tokens]
        is_task_missing = not all(word in words for word in task)
        return mask | is_task_missing << len(self.parts)

    def share_of_words(self, mask: int) -> float:
        """Return which share of the prompt's words these parts are, 0 to 1."""
        gone = set[int]().union(*(part.tokens for part in self.parts if mask >> (part.number - 1) & 1))
        return len(gone) / max(1, len(self._tokens))

    def close(self, mask: int) -> int:
        """Return the mask with all parts inside these parts."""
        for part in self.parts:
            if mask >> (part.number - 1) & 1:
                mask |= part.mask
        return mask

    def _number(self, roots: Sequence[Node]) -> tuple[Part, ...]:
        """Return the parts that can be left out, numbered in the order of the prompt."""
        free = [node for node in walk(roots) if not node.is_fixed and node.tokens]
        free.sort(key=lambda node: (node.is_modifier, min(node.tokens)))
        chosen = sorted(free[:MAX_PARTS], key=lambda node: min(node.all_tokens()))
        bits = {id(node): 1 << place for place, node in enumerate(chosen)}
        return tuple(
            Part(
                number=number,
                words=self._own_words(node),
                tokens=frozenset(node.all_tokens()),
                own_tokens=frozenset(_first_run(node.tokens)),
                mask=sum(bits.get(id(one), 0) for one in walk([node])),
            )
            for number, node in enumerate(chosen, start=1)
        )

    def _own_words(self, node: Node) -> str:
        tokens = sorted(node.all_tokens())
        return " ".join(self._tokens.text(token) for token in tokens).strip(" ,;:.-\u2013\u2014")


def _first_run(tokens: Sequence[int]) -> list[int]:
    """Return the first tokens, up to the first gap."""
    return [token for place, token in enumerate(tokens) if token == tokens[0] + place]
