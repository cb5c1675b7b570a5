"""Repair of a run without prompt optimization: the same prompt once more after a random failure."""

from collections.abc import Sequence

from errors import ErrorKind
from models import Attempt, Prompt

RANDOM_KINDS = frozenset({ErrorKind.EMPTY, ErrorKind.NO_IMAGE, ErrorKind.MALFORMED, ErrorKind.RECITATION})
"""Kinds that often pass when the same question is asked again (docs/api-facts.md, section 2.6)."""


class RetryOnce:
    """Repair without optimization: one second call with the same prompt after a ``RANDOM_KINDS`` failure."""

    should_wait_for_others = False

    def begin_image(self) -> "RetryOnce":
        """Return the repair of one image; it has no state, so all images share it."""
        return self

    def on_failure(self, attempts: Sequence[Attempt]) -> bool:  # noqa: ARG002
        """Record a failed call; always return True, since no call is taken back here."""
        return True

    def revise(self, prompt: Prompt, attempts: Sequence[Attempt]) -> Prompt | None:
        """Return the prompt for the next call; None to give the image up."""
        random_failures = sum(attempt.kind in RANDOM_KINDS for attempt in attempts)
        return prompt if attempts[-1].kind in RANDOM_KINDS and random_failures == 1 else None

    def on_success(self) -> None:
        """Record that the image was answered."""
