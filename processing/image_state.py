"""State of one image: its attempts so far, and the outcome they amount to.

No decision about retries or prompts is taken here, and nothing is awaited.
"""

from dataclasses import dataclass, field, replace

from errors import ApiFailure, Cause, ErrorKind, FatalError
from models import (
    Attempt,
    Deferred,
    Failed,
    Generation,
    ImageContent,
    ImageJob,
    Prompt,
    Succeeded,
    Usage,
)
from utils.image_validator import ImageFacts, UnavailableImage, UnreadableImage


@dataclass(slots=True, kw_only=True)
class ImageState:
    """One image between its check and its outcome; owned by one worker."""

    job: ImageJob
    prompt: Prompt
    """The prompt of the next call."""
    content: ImageContent | None = None
    """None if unknown: the image was not read yet."""
    attempts: list[Attempt] = field(default_factory=list)
    served_at_last_rejection: int = 0
    """How many calls of the run had been served when a quota last rejected this image."""

    def record_answer(self, ended: Attempt, *, usage: Usage) -> None:
        """Record a call that was answered."""
        self.attempts.append(replace(ended, usage=usage))

    def record_failure(self, ended: Attempt, *, failure: ApiFailure) -> None:
        """Record a call that failed."""
        attempt = replace(
            ended,
            kind=failure.kind,
            detail=failure.detail,
            http_status=failure.http_status,
            api_status=failure.api_status,
            unavailable=failure.is_unavailability,
            quota_ids=failure.quota_ids,
            usage=failure.usage,
        )
        self.attempts.append(attempt)

    def record_fatal_error(self, ended: Attempt, *, error: FatalError) -> None:
        """Record a call that showed that the run cannot go on."""
        attempt = replace(ended, detail=error.detail, ended_run=error.reason)
        self.attempts.append(attempt)

    def to_succeeded(self, content: ImageContent, generation: Generation) -> Succeeded:
        """Return the outcome of an image that was answered."""
        return Succeeded(
            job=self.job,
            content=content,
            prompt=self.prompt,
            generation=generation,
            attempts=tuple(self.attempts),
        )

    def to_failed_or_deferred(self, failure: ApiFailure) -> Failed | Deferred:
        """Return the outcome after the last failure; deferred if the service was unavailable each time."""
        if self.attempts and all(attempt.unavailable for attempt in self.attempts):
            return self.to_deferred(failure.detail)
        return self._to_failed(
            failure.kind, failure.detail, cause=failure.cause, partial_text=failure.partial_text
        )

    def to_unreadable(self, error: UnreadableImage) -> Failed:
        """Return the outcome of an image that cannot be used, or whose file is unavailable."""
        is_gone = isinstance(error, UnavailableImage)
        if is_gone:
            return self._to_failed(ErrorKind.FILE_UNAVAILABLE, str(error))
        return self._to_failed(ErrorKind.INVALID_REQUEST, str(error), cause=Cause.IMAGE)

    def to_deferred(self, detail: str) -> Deferred:
        """Return the outcome of an image that is left to the next run."""
        return Deferred(
            job=self.job,
            prompt=self.prompt,
            detail=detail,
            kind=self.attempts[-1].kind if self.attempts else None,
            attempts=tuple(self.attempts),
        )

    def _to_failed(
        self, kind: ErrorKind, detail: str, *, cause: Cause | None = None, partial_text: str = ""
    ) -> Failed:
        return Failed(
            job=self.job,
            content=self.content,
            prompt=self.prompt,
            kind=kind,
            detail=detail,
            attempts=tuple(self.attempts),
            partial_text=partial_text,
            cause=cause,
        )


def content_of(facts: ImageFacts) -> ImageContent:
    """Return what the records say about an image that was read."""
    return ImageContent(
        sha256=facts.sha256,
        mime_type=facts.mime_type,
        width=facts.width,
        height=facts.height,
        notes=facts.notes,
        unsent_pages=facts.unsent_pages,
    )
