"""Hidden rules about the words of a prompt: which of its words cost which images.

A world is drawn from a seed: a prompt of 12 to 120 words made of common phrases, and one to three guilty
words or clauses, each of which costs some of the images in one class of failure until the prompt no longer
says it. Some images fail whatever the prompt says; in some worlds all of them do. Guilty words are picked
from the text itself, outside of the task; how the program takes a prompt apart plays no part.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from bench.prompt_phrases import DEV, HELD_OUT
from errors import ErrorKind
from models import Attempt, Prompt

K = ErrorKind
KINDS = (K.BLOCKED, K.RECITATION, K.TRUNCATED, K.REFUSED, K.EMPTY, K.NO_IMAGE, K.MALFORMED)
SAFETY = "SAFETY"
HELD_OUT_FROM = 1_000
"""Worlds from this number on are made of phrases that nothing was tuned on."""
SLOTS = 16
_SMALL = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "and",
        "or",
        "is",
        "it",
        "its",
        "for",
        "with",
        "by",
        "as",
        "any",
        "all",
        "each",
        "so",
        "that",
        "if",
        "be",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Words that cost images."""

    words: str
    kind: ErrorKind
    reason: str = ""
    share: float
    """The share of the images that they cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image, and what is true of it."""

    rules: tuple[Rule, ...]
    """The rules that hold for it."""
    hopeless: tuple[ErrorKind, str] | None
    """Class and reason with which it always fails."""
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentWorld:
    """What is true, and hidden."""

    prompt: str
    rules: tuple[Rule, ...]
    """None: no words are to blame."""
    hopeless_share: float
    hopeless_kinds: tuple[ErrorKind, ...]
    """The classes of those that nothing can rescue."""
    flake_rate: float
    """Probability that a call fails although nothing is wrong, or is answered although something is."""
    seed: int

    def failing_images(self, number: int) -> list[Image]:
        """Return so many images that fail with the user's prompt."""
        rng = random.Random(f"{self.seed} images")
        images: list[Image] = []
        while len(images) < number:
            hopeless = None
            if not self.rules or rng.random() < self.hopeless_share:
                hopeless = (rng.choice(self.hopeless_kinds), "")
            rules = tuple(rule for rule in self.rules if rng.random() < rule.share)
            if rules or hopeless:
                images.append(Image(rules=rules, hopeless=hopeless, seed=f"{self.seed} {len(images)}"))
        return images

    def ask(self, image: Image, prompt: str, call: int) -> tuple[ErrorKind, str] | None:
        """Return class and reason of the failure; None if the image is answered."""
        luck = random.Random(f"{image.seed} {call}").random()
        if image.hopeless is not None:
            return image.hopeless
        broken = next((rule for rule in image.rules if rule.words.lower() in prompt.lower()), None)
        if broken is None:
            return (K.EMPTY, "") if luck < self.flake_rate else None
        return None if luck < self.flake_rate else (broken.kind, broken.reason)


def draw_world(seed: int) -> ContentWorld:
    """Return the world of this number; in every fifth no words are to blame."""
    rng = random.Random(f"content {seed}")
    phrases = HELD_OUT if seed >= HELD_OUT_FROM else DEV
    task, prompt = _draw_prompt(rng, phrases)
    rules: tuple[Rule, ...] = ()
    if seed % 5 != 4:
        rules = tuple(_draw_rule(rng, words) for words in _draw_guilty(rng, task, prompt, rng.randint(1, 3)))
    return ContentWorld(
        prompt=prompt,
        rules=rules,
        hopeless_share=rng.choice((0.0, 0.02, 0.05, 0.15)),
        hopeless_kinds=tuple(rng.sample(KINDS, rng.randint(1, 4))),
        flake_rate=rng.choice((0.0, 0.02, 0.06)),
        seed=seed,
    )


def _draw_prompt(rng: random.Random, phrases: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    """Return the task and the whole prompt."""
    length = rng.randint(12, 110)
    task = rng.choice(phrases["tasks"])
    clauses, sentences = list(phrases["clauses"]), list(phrases["sentences"])
    rng.shuffle(clauses)
    rng.shuffle(sentences)
    text = task
    adjectives = rng.sample(phrases["adjectives"], 2)
    for _ in range(rng.randint(1, 3)):
        text += rng.choice((", ", " ", ", ")) + clauses.pop()
    text += rng.choice(
        (f" in a {adjectives[0]} way.", f", in a {adjectives[0]} and {adjectives[1]} tone.", ".")
    )
    while len(text.split()) < length and sentences:
        more = sentences.pop()
        if clauses and rng.random() < 0.6:
            more += rng.choice((", ", " ")) + clauses.pop()
        text += rng.choice((" ", " ", "\n")) + more + "."
    while len(text.split()) < 12:
        text += f" {sentences.pop()}."
    return task, " ".join(text.split(" ")[:120])


def _draw_guilty(rng: random.Random, task: str, prompt: str, number: int) -> list[str]:
    """Return words or runs of words from the prompt, outside of the task; none is inside another."""
    rest = prompt[len(task) :]
    runs = [run for piece in re.split(r"[.,;\n]", rest) if (run := piece.strip()) and len(run.split()) > 1]
    words = [word for word in re.findall(r"[A-Za-z'-]{4,}", rest) if word.lower() not in _SMALL]
    guilty: list[str] = []
    for _ in range(200):
        if len(guilty) == number:
            break
        found = rng.choice(words)
        if rng.random() < 0.5:
            run = rng.choice(runs).split()
            start = rng.randrange(len(run) - 1)
            found = " ".join(run[start : start + rng.randint(2, 5)])
        is_known = any(found.lower() in one.lower() or one.lower() in found.lower() for one in guilty)
        if not is_known and found.lower() not in task.lower() and found.lower() not in _SMALL:
            guilty.append(found)
    return guilty


def _draw_rule(rng: random.Random, words: str) -> Rule:
    kind = rng.choice(KINDS)
    reason = SAFETY if kind is K.BLOCKED and rng.random() < 0.5 else ""
    return Rule(words=words, kind=kind, reason=reason, share=rng.uniform(0.08, 0.3))


class ImageRepair(Protocol):
    """What the program asks about one image."""

    @property
    def should_wait_for_others(self) -> bool:
        """Whether others go first."""
        ...

    def on_failure(self, attempts: Sequence[Attempt]) -> bool:
        """Record a failure."""
        ...

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the next prompt."""
        ...

    def on_success(self) -> None:
        """Record an answer."""
        ...


class Reviser(Protocol):
    """Begins the repair of images."""

    def begin_image(self) -> ImageRepair:
        """Return the repair of one."""
        ...


@dataclass(slots=True, kw_only=True)
class ContentResult:
    """What a run came to."""

    images: int = 0
    curable: int = 0
    rescues: int = 0
    calls: int = 0
    """After the first of each image."""
    dropped_words: float = 0.0
    """Words of the user's prompt that the answers' prompts did not have, as a sum of shares."""

    def __add__(self, other: "ContentResult") -> "ContentResult":
        """Return both together."""
        return ContentResult(
            images=self.images + other.images,
            curable=self.curable + other.curable,
            rescues=self.rescues + other.rescues,
            calls=self.calls + other.calls,
            dropped_words=self.dropped_words + other.dropped_words,
        )


@dataclass(slots=True, eq=False)
class _Asked:
    image: Image
    repair: ImageRepair
    attempts: list[Attempt]
    prompt: Prompt


def play(world: ContentWorld, images: Sequence[Image], reviser: Reviser) -> ContentResult:
    """Let the program's repair spend its calls as a run does, and return what it came to."""
    rng = random.Random(f"{world.seed} order")
    result = ContentResult(images=len(images))
    base = Prompt(text=world.prompt)
    fresh = [_Asked(image, reviser.begin_image(), [], base) for image in reversed(images)]
    waiting: list[_Asked] = []
    flying: list[_Asked] = []
    while fresh or waiting or flying:
        while len(flying) < SLOTS and (fresh or waiting):
            asked = fresh.pop() if fresh else waiting.pop(_fewest_calls(waiting))
            revised = asked.repair.revise(asked.prompt, asked.attempts) if asked.attempts else base
            if revised is not None:
                asked.prompt = revised
                flying.append(asked)
        if not flying:
            break
        asked = flying.pop(rng.randrange(len(flying)))
        _finish_call(world, asked, result)
        if asked.attempts[-1].kind is not None:
            (waiting if asked.repair.should_wait_for_others else fresh).append(asked)
    result.curable = sum(one.hopeless is None for one in images)
    return result


def _fewest_calls(waiting: Sequence[_Asked]) -> int:
    return min(range(len(waiting)), key=lambda at: (len(waiting[at].attempts), at))


def _finish_call(world: ContentWorld, asked: _Asked, result: ContentResult) -> None:
    number = len(asked.attempts) + 1
    failure = world.ask(asked.image, asked.prompt.text, number) if number > 1 else _first_failure(asked.image)
    result.calls += number > 1
    asked.attempts.append(
        Attempt(
            number=number,
            started_at=datetime(2026, 12, 1, tzinfo=UTC),
            seconds=1.0,
            prompt=asked.prompt,
            timeout_s=60.0,
            kind=failure[0] if failure else None,
            api_status=failure[1] if failure else None,
        )
    )
    if failure is not None:
        asked.repair.on_failure(asked.attempts)
        return
    asked.repair.on_success()
    result.rescues += 1
    left = asked.prompt.text.split()
    result.dropped_words += max(0.0, 1.0 - len(left) / len(world.prompt.split()))


def _first_failure(image: Image) -> tuple[ErrorKind, str]:
    if image.hopeless is not None:
        return image.hopeless
    return image.rules[0].kind, image.rules[0].reason
