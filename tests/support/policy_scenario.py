"""What do tests of the repair policy need: a pool, a policy, images that fail in given ways."""

import random
from collections.abc import Iterator, Sequence

from errors import ErrorKind
from models import Parameter
from prompts.candidates import Trials
from prompts.edit_stats import Pool
from prompts.edits import ASK_AGAIN
from prompts.policy import Failure, GiveUp, ImageStory, Limits, Policy, Step
from prompts.rules import CURABLE

EDITS = tuple(f"edit_{n}" for n in range(10))
NO_CONTROL = Limits(control_share=0.0)
PLAIN_KINDS = sorted(CURABLE)


def empty_pool() -> Pool:
    """Return a pool that knows nothing."""
    return Pool("model", "0" * 64)


def policy(
    pool: Pool | None = None,
    *,
    seed: int = 0,
    limits: Limits | None = None,
    offers: Sequence[str] = EDITS,
    neutral: Sequence[str] = (),
    parameters: Sequence[Parameter] = (),
    trials: Trials | None = None,
) -> Policy:
    """Return a policy that offers the same edits to every class."""
    return Policy(
        pool=pool or empty_pool(),
        offers=dict.fromkeys(CURABLE, tuple(offers)),
        rng=random.Random(seed),
        limits=limits,
        neutral=neutral,
        parameters=parameters,
        trials=trials,
    )


def first(kind: ErrorKind, reason: str = "") -> ImageStory:
    """Return the story of an image that failed once."""
    return ImageStory(failures=(Failure(kind=kind, reason=reason),))


def twice(kind: ErrorKind) -> ImageStory:
    """Return the story of an image that failed consistently."""
    return first(kind).then(ASK_AGAIN, Failure(kind=kind))


def steps(
    chooser: Policy, failures: Sequence[Failure], *, learn: bool = True
) -> Iterator[tuple[ImageStory, Step]]:
    """Let an image fail in these ways; yield each step with the story it was chosen for."""
    story = ImageStory(failures=(failures[0],))
    for failure in [*failures[1:], failures[-1]]:
        step = chooser.next(story)
        yield story, step
        if isinstance(step, GiveUp):
            return
        if learn:
            chooser.learn(story, step.arm, rescued=False)
        story = story.then(step.arm, failure)


def teach(pool: Pool, arm: str, *, rescues: int, failures: int, kind: ErrorKind = ErrorKind.BLOCKED) -> None:
    """Let an arm have these outcomes, each the first on its image."""
    for n in range(rescues + failures):
        pool.learn(kind, (), arm, rescued=n < rescues)
