"""Rules of app/fail_fast.py."""

from pathlib import Path

import pytest

from app.fail_fast import DECIDING_IMAGES, FailFast
from errors import ErrorKind, StopReason
from models import Attempt, Deferred, Failed, Generation, ImageContent, ImageJob, Outcome, Prompt, Succeeded
from tests.support.fakes import START

BASE = Prompt(text="Describe")
ALIKE = "HTTP 400: unknown field"


def job(key: str) -> ImageJob:
    """Return an image."""
    return ImageJob(key=key, path=Path(key), size_bytes=1, mtime_ns=1)


def failed(
    key: str, detail: str = ALIKE, kind: ErrorKind = ErrorKind.INVALID_REQUEST, *, calls: int = 1
) -> Failed:
    """Return an image that failed after so many calls."""
    attempt = Attempt(number=1, started_at=START, seconds=1.0, prompt=BASE, timeout_s=180.0, kind=kind)
    return Failed(
        job=job(key), content=None, prompt=BASE, kind=kind, detail=detail, attempts=(attempt,) * calls
    )


def succeeded(key: str) -> Succeeded:
    """Return an image that was answered."""
    content = ImageContent(sha256="0" * 64, mime_type="image/png", width=1, height=1)
    return Succeeded(job=job(key), content=content, prompt=BASE, generation=Generation(text="a"), attempts=())


def deferred(key: str) -> Deferred:
    """Return an image that met an outage."""
    return Deferred(job=job(key), prompt=BASE, detail="later", kind=ErrorKind.SERVER, attempts=())


def play(*outcomes: Outcome) -> tuple[FailFast, list[Outcome]]:
    """Give the outcomes to ``FailFast``, then end the run; return what was stored, in order."""
    fail_fast = FailFast()
    stored = [ready for outcome in outcomes for ready in fail_fast.observe(outcome)]
    return fail_fast, [*stored, *fail_fast.flush()]


@pytest.mark.parametrize("kind", [ErrorKind.INVALID_REQUEST, ErrorKind.SCHEMA, ErrorKind.NETWORK])
def test_the_first_images_failing_alike_stop_the_run(kind: ErrorKind) -> None:
    """After three equal failures the run is to blame, and none of the images has failed."""
    fail_fast, stored = play(*(failed(str(number), kind=kind) for number in range(DECIDING_IMAGES)))

    assert fail_fast.cause is not None
    assert fail_fast.cause.reason is StopReason.ALL_ALIKE
    assert [type(outcome) for outcome in stored] == [Deferred] * DECIDING_IMAGES


def test_what_was_in_flight_is_deferred_as_well() -> None:
    """Failures of the same kind that arrive after the verdict are the run's, others the image's own."""
    late: list[Outcome] = [failed("late"), failed("other", "another sentence"), succeeded("fine")]
    _, stored = play(*(failed(str(number)) for number in range(DECIDING_IMAGES)), *late)

    assert [type(outcome) for outcome in stored[DECIDING_IMAGES:]] == [Deferred, Failed, Succeeded]


@pytest.mark.parametrize(
    "other",
    [succeeded("x"), failed("x", "another sentence"), failed("x", kind=ErrorKind.BLOCKED)],
    ids=["an-answer", "another-sentence", "another-kind"],
)
def test_one_other_outcome_clears_the_run(other: Outcome) -> None:
    """One answer or one other failure among the first shows that the service can distinguish images apart."""
    fail_fast, stored = play(failed("a"), failed("b"), other, failed("c"), failed("d"), failed("e"))

    assert fail_fast.cause is None
    assert [outcome.job.key for outcome in stored] == ["a", "b", "x", "c", "d", "e"]
    assert sum(isinstance(outcome, Failed) for outcome in stored) >= 5


@pytest.mark.parametrize(
    "mute", [deferred("x"), failed("x", calls=0)], ids=["an-outage", "never-asked-about"]
)
def test_what_tells_nothing_is_passed_on(mute: Outcome) -> None:
    """An outage or an unreadable file is kept at once and neither clears nor condemns."""
    fail_fast, stored = play(failed("a"), mute, failed("b"), failed("c"))

    assert fail_fast.cause is not None
    assert stored[0] is mute


def test_a_short_run_keeps_its_failures() -> None:
    """With fewer images than a verdict needs, failures are failures."""
    fail_fast, stored = play(failed("a"), failed("b"))

    assert fail_fast.cause is None
    assert [type(outcome) for outcome in stored] == [Failed, Failed]


def test_no_outcome_is_lost_or_doubled() -> None:
    """Whatever comes, every outcome is passed on exactly once."""
    many: list[Outcome] = [failed("a"), deferred("b"), failed("c"), succeeded("d"), failed("e"), failed("f")]
    _, stored = play(*many)

    assert sorted(outcome.job.key for outcome in stored) == ["a", "b", "c", "d", "e", "f"]
