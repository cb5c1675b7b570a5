"""Tree of the clauses and modifiers of a prompt, by guesses about English grammar (``grammar``).

The root of each sentence is its head clause. The clause with the task, and lines with code, are fixed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prompts import grammar
from prompts.prompt_tokens import PromptTokens

_SENTENCE_END = re.compile(r"[.!?;:]+[\"')\]\u201d]*$")
_CODE = re.compile(r"[{}<>`\[\]|]")
_OPENING, _CLOSING = "(\u201c", ")\u201d"


@dataclass(slots=True, eq=False)
class Node:
    """A part while the tree is built: the tokens that are its own."""

    tokens: list[int]
    parent: "Node | None" = None
    is_fixed: bool = False
    is_modifier: bool = False
    children: list["Node"] = field(default_factory=list)

    def all_tokens(self) -> set[int]:
        """Return the tokens of this part and of all parts inside it."""
        return set(self.tokens).union(*(child.all_tokens() for child in self.children))

    def hold(self) -> None:
        """Make this part and all around it stay."""
        self.is_fixed = True
        if self.parent is not None:
            self.parent.hold()


class ClauseTree:
    """The clauses and modifiers of one prompt.

    Args:
        tokens: the words of the prompt.
        phrases: words that are one part wherever they stand, such as "word for word".
    """

    def __init__(self, tokens: PromptTokens, *, phrases: Iterable[str] = ()) -> None:
        self._tokens = tokens
        self._phrase_tokens = [run for one in phrases if _is_phrase(one) for run in tokens.find(one)]
        self.modifiers = set[int]()
        """Words that are parts of their own inside a clause."""
        self.roots = list(self._build_sentences())

    def _build_sentences(self) -> Iterator[Node]:
        sentences = list(self._split_sentences())
        clauses = [self._split_clauses(tokens) for tokens in sentences]
        places = [(number, at) for number, runs in enumerate(clauses) for at in range(len(runs))]
        tasks = (
            (number, at)
            for number, at in places
            if self._is_task(clauses[number][at]) or self._tokens.text(sentences[number][-1])[-1] == "?"
        )
        task_sentence, task_clause = next(tasks, (0, 0))
        if clauses and not self._is_task(clauses[task_sentence][task_clause]):
            clauses[task_sentence] = self._join_question(clauses[task_sentence])
        for number, runs in enumerate(clauses):
            is_task = number == task_sentence
            yield self._build_sentence(runs, head_at=task_clause if is_task else 0, is_fixed=is_task)

    def _join_question(self, runs: list[list[int]]) -> list[list[int]]:
        """Return the clauses of a question, which is one clause up to its first comma."""
        if self._tokens.text(runs[-1][-1])[-1] != "?":
            return runs
        ends = (at for at, run in enumerate(runs, start=1) if self._tokens.text(run[-1])[-1] in ",;:)?")
        end = next(ends)
        return [[token for run in runs[:end] for token in run], *runs[end:]]

    def _split_sentences(self) -> Iterator[list[int]]:
        sentence: list[int] = []
        for token in range(len(self._tokens)):
            if sentence and "\n" in self._tokens.blank_before(token):
                yield sentence
                sentence = []
            sentence.append(token)
            if (
                _SENTENCE_END.search(self._tokens.text(token))
                and self._tokens.words[token] not in grammar.SHORTENED
            ):
                yield sentence
                sentence = []
        if sentence:
            yield sentence

    def _split_clauses(self, tokens: Sequence[int]) -> list[list[int]]:
        """Return the runs of tokens between commas, dashes and brackets, and before joining words."""
        runs: list[list[int]] = [[]]
        depth = 0
        for token in tokens:
            text = self._tokens.text(token)
            is_open = bool(depth)
            starts = text[0] in _OPENING or text.strip("-\u2013\u2014") == ""
            if runs[-1] and not is_open and (starts or self._begins_clause(runs[-1], token)):
                runs.append([])
            runs[-1].append(token)
            depth += sum(text.count(one) for one in _OPENING) - sum(text.count(one) for one in _CLOSING)
            depth = max(0, depth)
            ends = text[-1] in ",;:" or any(one in text for one in _CLOSING)
            if ends and not depth and not self._is_in_list_of_adjectives(runs[-1]):
                runs.append([])
        return [run for run in runs if run]

    def _begins_clause(self, run: Sequence[int], token: int) -> bool:
        """Return whether a clause begins with this word, after the words of a run."""
        word, before = self._tokens.words[token], self._tokens.words[run[-1]]
        is_open = all(self._tokens.words[one] in grammar.OPENERS for one in run)
        is_inside_phrase = any(token in found[1:] for found in self._phrase_tokens)
        asks = word in grammar.QUESTION_WORDS and before in grammar.TASK_VERBS | {"me", "us"}
        if is_open or is_inside_phrase or asks or before in grammar.JOINING:
            return False
        if any(token == found[0] for found in self._phrase_tokens):
            return True
        if word in {"and", "or"}:
            return not self._is_in_list_of_adjectives(run)
        if grammar.is_participle(word):
            return before not in grammar.DETERMINERS and not grammar.is_modifier(before)
        return word in grammar.JOINING or (word in grammar.PRONOUNS and len(run) > 1)

    def _is_in_list_of_adjectives(self, run: Sequence[int]) -> bool:
        """Return whether the run ends in "a graphic," so that the noun is still to come."""
        for token in reversed(run):
            word = self._tokens.words[token]
            if word in grammar.DETERMINERS:
                return token != run[-1]
            if not (grammar.is_modifier(word) or word in {"and", "or"}):
                return False
        return False

    def _is_task(self, run: Sequence[int]) -> bool:
        words = [self._tokens.words[token] for token in run]
        while words and (words[0] in grammar.OPENERS or words[0].endswith("ly")):
            words = words[1:]
        objects = [word for word in words[1:] if word and word not in grammar.FUNCTION_WORDS]
        return bool(words) and words[0] in grammar.TASK_VERBS and bool(objects)

    def _build_sentence(self, runs: list[list[int]], *, head_at: int, is_fixed: bool) -> Node:
        has_code = any(_CODE.search(self._tokens.text(token)) for run in runs for token in run)
        runs = self._add_complement(runs, head_at)
        head = Node(runs[head_at], is_fixed=is_fixed or has_code)
        previous = head
        for number, run in enumerate(runs):
            if number == head_at:
                self._split_modifiers(head)
                previous = head
                continue
            follows = number > 0 and self._tokens.text(runs[number - 1][-1])[-1] not in ",;:)"
            first = self._tokens.words[run[0]]
            is_inner = (
                follows and previous is not head and first in grammar.ATTACHED and number - 1 != head_at
            )
            parent = previous if is_inner and number > head_at else head
            node = Node(run, parent=parent, is_fixed=has_code)
            parent.children.append(node)
            self._split_modifiers(node)
            previous = node
        return head

    def _add_complement(self, runs: list[list[int]], head_at: int) -> list[list[int]]:
        """Return the clauses; "into a drawing" becomes part of "turn the photo", no task without it."""
        verbs = {self._tokens.words[token] for token in runs[head_at]} & grammar.INCOMPLETE_VERBS
        after = head_at + 1
        if not verbs or after >= len(runs) or self._tokens.words[runs[after][0]] not in grammar.COMPLEMENTS:
            return runs
        return [*runs[:head_at], runs[head_at] + runs[after], *runs[after + 1 :]]

    def _split_modifiers(self, node: Node) -> None:
        """Make parts of the adjectives, adverbs and phrases in a clause."""
        run, taken = node.tokens, set[int]()
        for found in self._phrase_tokens:
            if set(found) < set(run) and not taken.intersection(found):
                taken.update(found)
                self._add_modifier(node, found)
        last = next(
            (token for token in reversed(run) if not grammar.is_adverb(self._tokens.words[token])), run[-1]
        )
        in_noun = False
        for token in run:
            word = self._tokens.words[token]
            if word in grammar.DETERMINERS:
                in_noun = True
            elif word in grammar.FUNCTION_WORDS:
                in_noun = in_noun and word in {"and", "or"}
            is_one = token not in taken and token != last and word not in grammar.KEPT
            if is_one and ((in_noun and self._goes_on(token, run)) or grammar.is_modifier(word)):
                self._add_modifier(node, [token])

    def _goes_on(self, token: int, run: Sequence[int]) -> bool:
        """Return whether a noun is still to come after this word of a group."""
        after = next((one for one in run if one > token), None)
        is_other = self._tokens.words[token] in grammar.TASK_VERBS or self._tokens.words[token].endswith(
            ("'s", "\u2019s")
        )
        return (
            not is_other
            and after is not None
            and self._tokens.words[after] not in grammar.FUNCTION_WORDS - {"and", "or"}
        )

    def _add_modifier(self, node: Node, tokens: list[int]) -> None:
        node.tokens = [token for token in node.tokens if token not in tokens]
        node.children.append(Node(tokens, parent=node, is_modifier=True))
        self.modifiers.update(tokens)


def _is_phrase(text: str) -> bool:
    """Return whether words such as "word for word" can be left out alone, unlike "in the style of"."""
    first, *inner, last = ["", *text.split()][-max(2, len(text.split())) :]
    begins_well = first not in grammar.DETERMINERS and not grammar.is_participle(first)
    return begins_well and last not in grammar.FUNCTION_WORDS and bool({first, *inner} & grammar.JOINING)


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield nodes and all that is inside them."""
    for node in nodes:
        yield node
        yield from walk(node.children)
