"""Which words might cure an image that keeps failing?

The naive answer gives every failure new words. But most failures are not the prompt's: a quota, an
outage, a bad image. Those never change a prompt here, and neither does a first failure; and every edit
is made from the user's own words and never from another edit, so that the intent is never two steps off.

``repair`` decides; this file carries the calls of real images there and its decisions back as prompts.
What each call came to is told to the one pool that all images of the run share. This file makes no call
and knows nothing of retries, files or the wire.
"""

import random
import re
from collections.abc import Iterable, Sequence

from errors import ErrorKind
from models import Attempt, Prompt
from repair.classes import CURABLE
from repair.edits import ASK_AGAIN, EditBook
from repair.evidence import Uplift, uplift
from repair.policy import AskAgain as PlainCall
from repair.policy import Failure, ImageStory, Limits, Policy, Step, Trial, UseEdit
from repair.pool import Pool

K = ErrorKind

RANDOM_KINDS = frozenset({K.EMPTY, K.NO_IMAGE, K.MALFORMED})
"""Kinds that often pass when the same question is simply asked again (gemini-api.md, section 2)."""

_WAITED_OUT = frozenset({K.RATE_LIMITED, K.SERVER, K.NETWORK, K.TIMEOUT})
"""What waiting cures: such a call says nothing about the words it carried."""

_PICTURE_WORDS = re.compile(
    r"\b(?:convert|turn\b.{0,30}\binto|transform|restyle|stylize|stylise|style|redraw|draw|paint|repaint|render|sketch"
    r"|illustrat\w+|colou?ri[sz]e|cartoon\w*|anime|watercolou?r|pixel art|remove the background"
    r"|replace the background|make it look|generate an? (?:image|picture))\b",
    re.IGNORECASE | re.DOTALL,
)


def asks_for_picture(prompt: str) -> bool:
    """Tell whether the words ask for a picture, as far as words can tell."""
    return _PICTURE_WORDS.search(prompt) is not None


class AskAgain:
    """What is done without optimization: one plain second try where the failure is often chance."""

    def begin(self) -> "AskAgain":
        """Return what serves one image; nothing is remembered, so it serves all."""
        return self

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the prompt for the next call, or None to give the image up."""
        random_failures = sum(attempt.kind in RANDOM_KINDS for attempt in attempts)
        return prompt if attempts[-1].kind in RANDOM_KINDS and random_failures == 1 else None

    def answered(self) -> None:
        """Hear that the image has its answer."""


class PromptOptimizer:
    """Repairs the prompts of images that fail consistently, and learns from all of them.

    Args:
        base: the user's prompt.
        edits: the edits there are.
        pool: what is known of them; shared by all images of the run.
        rng: the source of every draw.
        keep: words of the prompt that every edit keeps.
        limits: what the user allows.
    """

    def __init__(
        self,
        *,
        base: Prompt,
        edits: EditBook,
        pool: Pool,
        rng: random.Random,
        keep: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self._base = base
        self._edits = edits
        self._keep = tuple(keep)
        self._policy = Policy(
            pool=pool,
            offers=edits.offers(base.text, keep=keep),
            neutral=edits.neutral,
            limits=limits,
            rng=rng,
        )
        self._trials: list[tuple[Trial, bool]] = []
        self.pool = pool
        self.lessons = 0
        """Outcomes that were learned in this run."""

    def begin(self) -> "ImageRepair":
        """Return what serves one image."""
        return ImageRepair(self)

    def uplift(self) -> Uplift:
        """Return what edits were worth over asking again, in this run so far."""
        return uplift(self._trials)

    def choose(self, story: ImageStory) -> Step:
        """Return what is done about an image now."""
        return self._policy.next(story)

    def learn(self, story: ImageStory, step: "_Call", *, rescued: bool) -> None:
        """Take in what a call came to that was decided on for this story."""
        if story.times > 1:
            self.lessons += 1
        self._policy.learn(story, step.arm, rescued=rescued)
        if step.trial is not None:
            self._trials.append((step.trial, rescued))

    def prompt_for(self, step: "_Call", tried: Iterable[str]) -> Prompt | None:
        """Return the words of a call; None where the edit has none for this prompt."""
        if isinstance(step, PlainCall):
            return self._control if step.trial else self._base
        text = self._edits[step.name].apply(self._base.text, keep=self._keep)
        edited = sum(arm != ASK_AGAIN for arm in tried)
        return Prompt(text=text, revision=edited + 1, edits=(step.name,)) if text else None

    @property
    def _control(self) -> Prompt:
        return Prompt(text=self._base.text, is_control=True)


_Call = PlainCall | UseEdit


class ImageRepair:
    """The repair of one image; owned by one worker."""

    def __init__(self, optimizer: PromptOptimizer) -> None:
        self._optimizer = optimizer
        self._story: ImageStory | None = None
        self._open: _Call | None = None
        """What was decided for the story and has not come to anything yet."""

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:  # noqa: ARG002
        """Return the prompt for the next call, or None to give the image up.

        ``attempts`` is never empty; its last one failed. A call that waiting would have cured ends the image
        and teaches nothing.
        """
        last = attempts[-1]
        if last.kind is None or last.kind in _WAITED_OUT:
            return None
        self._failed(Failure(kind=last.kind, reason=last.api_status or ""))
        return self._next()

    def answered(self) -> None:
        """Hear that the image has its answer."""
        if self._story is not None and self._open is not None:
            self._optimizer.learn(self._story, self._open, rescued=True)
        self._open = None

    def _failed(self, failure: Failure) -> None:
        if self._story is None or self._open is None:
            self._story = ImageStory(failures=(failure,))
            return
        self._optimizer.learn(self._story, self._open, rescued=False)
        self._story = self._story.then(self._open.arm, failure)
        self._open = None

    def _next(self) -> Prompt | None:
        if self._story is None or self._story.kind not in CURABLE:
            return None
        step = self._optimizer.choose(self._story)
        if not isinstance(step, PlainCall | UseEdit):  # no parameter is offered to the policy
            return None
        self._open = step
        return self._optimizer.prompt_for(step, self._story.arms)
