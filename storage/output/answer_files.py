"""Build the files of an answer or a failure, with their names and bytes; no I/O."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from models import Artefact, Failed, Generation, ImageJob, RunInfo, StoredAnswer, Succeeded
from storage.output.answer_text import DRY_RUN_LINE, DRY_RUN_TRAILER, encode_utf8, format_answer_text
from storage.output.layout import Place, is_text, picture_suffix, result_ending


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file to be written to the output directory."""

    path: str
    """Relative to the output directory."""
    data: bytes = field(repr=False)

    @property
    def artefact(self) -> Artefact:
        """The file's path, size and hash, for the ledger and the journal."""
        digest = hashlib.sha256(self.data).hexdigest()
        return Artefact(path=self.path, size_bytes=len(self.data), sha256=digest)


def build_answer_files(place: Place, generation: Generation, *, dry_run: bool) -> tuple[ResultFile, ...]:
    """Return an answer's files in the order of writing: the text last."""
    trailer = DRY_RUN_TRAILER if dry_run else b""
    pictures = [
        ResultFile(place.picture(number, picture_suffix(image.data)), image.data + trailer)
        for number, image in enumerate(generation.images, start=1)
    ]
    text = format_answer_text(generation.text, [_file_name(picture.path) for picture in pictures])
    return (*pictures, _text_file(place.text, text, dry_run=dry_run))


def build_failure_file(
    place: Place, failed: Failed, run: RunInfo, earlier: StoredAnswer | None
) -> ResultFile:
    """Return the report of a failure; ``earlier`` is the answer that the image keeps, None if none."""
    from reports.error_log import build_error_log  # noqa: PLC0415 - for failures alone

    return _text_file(place.error_log, build_error_log(failed, run, earlier), dry_run=run.dry_run)


def build_copied_files(place: Place, stored: Sequence[ResultFile]) -> tuple[ResultFile, ...]:
    """Return the files of an answer under the name of another image."""
    return tuple(_iter_copied_files(place, stored))


def build_copied_answer(job: ImageJob, answer: StoredAnswer, files: Sequence[ResultFile]) -> StoredAnswer:
    """Return the ledger's record of an answer under the name of another image."""
    return replace(
        answer,
        key=job.key,
        size_bytes=job.size_bytes,
        mtime_ns=job.mtime_ns,
        artefacts=tuple(file.artefact for file in files),
    )


def build_stored_answer(
    succeeded: Succeeded, run: RunInfo, files: Sequence[ResultFile], *, counts_for: tuple[str, ...]
) -> StoredAnswer:
    """Return the ledger's record of an answer."""
    return StoredAnswer(
        key=succeeded.job.key,
        size_bytes=succeeded.job.size_bytes,
        mtime_ns=succeeded.job.mtime_ns,
        sha256=succeeded.content.sha256,
        fingerprint=run.fingerprint,
        artefacts=tuple(file.artefact for file in files),
        prompt=succeeded.prompt,
        usage=succeeded.generation.usage,
        model_version=succeeded.generation.model_version,
        response_id=succeeded.generation.response_id,
        answered_at=_answered_at(succeeded, run),
        dry_run=run.dry_run,
        model=run.model,
        counts_for=counts_for,
        notes=succeeded.content.notes,
    )


def _answered_at(succeeded: Succeeded, run: RunInfo) -> datetime:
    if not succeeded.attempts:
        return run.started_at
    last = succeeded.attempts[-1]
    return last.started_at + timedelta(seconds=last.seconds)


def _text_file(path: str, text: str, *, dry_run: bool) -> ResultFile:
    return ResultFile(path, encode_utf8(DRY_RUN_LINE + text if dry_run else text))


def _iter_copied_files(place: Place, stored: Sequence[ResultFile]) -> Iterator[ResultFile]:
    pictures = [file.path for file in stored if not is_text(file.path)]
    renamed = {path: place.result(ending) for path in pictures if (ending := result_ending(path))}
    old_text = encode_utf8(format_answer_text("", [_file_name(path) for path in pictures]))
    new_text = encode_utf8(format_answer_text("", [_file_name(path) for path in renamed.values()]))
    for file in stored:
        if is_text(file.path):
            # The text of an answer without text names its picture files, so it needs the new names.
            yield ResultFile(place.text, new_text if file.data == old_text else file.data)
        elif file.path in renamed:
            yield ResultFile(renamed[file.path], file.data)


def _file_name(path: str) -> str:
    return PurePosixPath(path).name
