"""Outcomes for tests of the archiver and of reports.

Complete ones, as the processor makes them, on a real file system.
"""

import hashlib
import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image

from archiver import Archiver
from errors import ErrorKind, StopReason
from models import (
    Attempt,
    Deferred,
    Failed,
    GeneratedImage,
    Generation,
    ImageContent,
    ImageJob,
    Prompt,
    RunInfo,
    StoredAnswer,
    Succeeded,
    Usage,
)

START = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
BASE = Prompt(text="Describe the picture")
SOFT = Prompt(text="Describe the picture\n\nStay friendly.", revision=1, edits=("soften",))


def run_info(number: int = 1, *, dry_run: bool = False) -> RunInfo:
    """Return a run."""
    return RunInfo(
        run_id=f"202611{number:02}T220000Z-{number:04x}",
        started_at=START,
        version="0.1.0",
        model="gemini-3.5-flash-lite",
        prompt=BASE.text,
        fingerprint="f" * 64,
        dry_run=dry_run,
        options={"max_concurrent": 5, "rpm": None, "timeout_s": 180.0, "dry_run": dry_run},
    )


def job(key: str = "a.jpg") -> ImageJob:
    """Return an image of 1000 bytes."""
    return ImageJob(key=key, path=Path("photos") / "x", size_bytes=1000, mtime_ns=1_700_000_000_123_456_789)


def content(key: str = "a.jpg", *notes: str) -> ImageContent:
    """Return the content of an image; each key has its own."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    return ImageContent(sha256=digest, mime_type="image/jpeg", width=8, height=6, notes=notes)


def attempt(number: int = 1, kind: ErrorKind | None = None, *, prompt: Prompt = BASE) -> Attempt:
    """Return a call that was answered, or failed with this kind of error."""
    return Attempt(
        number=number,
        started_at=START + timedelta(seconds=number),
        seconds=1.5,
        prompt=prompt,
        timeout_s=180.0,
        kind=kind,
        detail=f"scripted {kind}" if kind else "",
        http_status=503 if kind is ErrorKind.SERVER else None,
        usage=Usage() if kind else Usage(input_tokens=1120, output_tokens=10),
        sent_bytes=700,
    )


def stopped_attempt(reason: StopReason) -> Attempt:
    """Return a call that ended the run."""
    return replace(attempt(), ended_run=reason, detail=f"scripted {reason}", usage=Usage())


def succeeded(
    key: str = "a.jpg",
    text: str = "An answer.",
    *pictures: bytes,
    kinds: tuple[ErrorKind, ...] = (),
    prompt: Prompt = BASE,
) -> Succeeded:
    """Return an answer after failures of these kinds."""
    failures = tuple(attempt(number, kind) for number, kind in enumerate(kinds, start=1))
    usage = Usage(input_tokens=1120, output_tokens=10)
    return Succeeded(
        job=job(key),
        content=content(key, "turned upright"),
        prompt=prompt,
        generation=Generation(
            text=text,
            images=tuple(GeneratedImage(data=data, mime_type="image/png") for data in pictures),
            usage=usage,
            model_version="gemini-3.5-flash-lite-001",
            response_id="abc",
        ),
        attempts=(*failures, attempt(len(kinds) + 1, prompt=prompt)),
    )


def failed(
    key: str = "a.jpg", *kinds: ErrorKind, detail: str = "It went wrong.", partial_text: str = ""
) -> Failed:
    """Return a failure after failed calls of these kinds; without any, the image was unreadable."""
    return Failed(
        job=job(key),
        content=content(key) if kinds else None,
        prompt=BASE,
        kind=kinds[-1] if kinds else ErrorKind.INVALID_REQUEST,
        detail=detail,
        attempts=tuple(attempt(number, kind) for number, kind in enumerate(kinds, start=1)),
        partial_text=partial_text,
    )


def deferred(key: str = "a.jpg", *kinds: ErrorKind) -> Deferred:
    """Return a deferred image after failed calls of these kinds."""
    return Deferred(
        job=job(key),
        prompt=BASE,
        detail="The service was unavailable.",
        kind=kinds[-1] if kinds else None,
        attempts=tuple(attempt(number, kind) for number, kind in enumerate(kinds, start=1)),
    )


def picture(kind: str = "PNG", shade: int = 0) -> bytes:
    """Return a small real picture of a kind that Pillow can write."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, 77, 200)).save(buffer, kind)
    return buffer.getvalue()


def archiver(root: Path, number: int = 1, *, dry_run: bool = False) -> Archiver:
    """Return the archiver of a run; the folder of dry runs exists, as after ``check_writable``."""
    if dry_run:
        (root / "dry-run").mkdir(exist_ok=True)
    return Archiver(output_dir=root, run=run_info(number, dry_run=dry_run))


def files(root: Path, *tops: str) -> dict[str, bytes]:
    """Return every file below these folders, or all three, without the ledgers."""
    paths = (path for top in tops or ("successful", "failed", "metadata") for path in (root / top).rglob("*"))
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and path.name != "results.jsonl"
    }


def names(root: Path, *tops: str) -> set[str]:
    """Return the names of these files."""
    return set(files(root, *tops))


def only_answer(store: Archiver) -> StoredAnswer:
    """Return the one answer in the ledger."""
    (answer,) = store.proven_answers
    return answer


@contextmanager
def full_disk(*, at_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
