"""The ledger: a file of JSON lines, one for each answer ever received.

It only grows. A line is written before the files that it names, and proves an answer only together with
them. Lines that are incomplete or damaged are skipped. A long prompt stands in the first line of a run that
has it; later lines name its hash. See docs/adr/0004.
"""

import json
import logging
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from models import Artefact, Parameter, Prompt, StoredAnswer, Usage
from utils.files import make_folder, write_all
from utils.json_encoding import json_line, to_jsonable

log = logging.getLogger(__name__)

_Kind = TypeVar("_Kind")

SCHEMA_VERSION = 1
"""Version of a line; see ``docs/schema/results.schema.json``."""

_LONG_PROMPT = 1000
"""A prompt of more characters is written once."""

_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


class Ledger:
    """The ledger in one file; safe to use from several threads, by one process.

    Args:
        path: the file; created with its folders below ``root`` for the first line.
        run_id: of the run that writes.
        root: the output directory, which is never created; None for the file's own folder.
    """

    def __init__(self, path: Path, *, run_id: str, root: Path | None = None) -> None:
        self._path = path
        self._root = root or path.parent
        self._run_id = run_id
        self._lock = Lock()
        self._bad_reported = 0
        self._written_prompts: set[str] = set()
        """Hashes of the long prompts that this run has written."""

    def append(self, *answers: StoredAnswer) -> None:
        """Add a line for each answer; the lines are synced on return.

        Raises:
            OSError: they could not be written; parts of them may remain, and are skipped on reading.

        """
        with self.appending(*answers):
            pass

    @contextmanager
    def appending(self, *answers: StoredAnswer) -> Iterator[None]:
        """Add a line for each answer before the block and sync after it.

        The block's own writes share that wait for the disk.

        Raises:
            OSError: as in ``append``; before the block or after it.

        """
        with self._lock:
            written = set(self._written_prompts)
            lines = b"".join(self._encode(answer, written) for answer in answers)
            descriptor = self._open()
            try:
                write_all(descriptor, _line_feed_if_torn(descriptor) + lines)
                self._written_prompts = written
                yield
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def __iter__(self) -> Iterator[StoredAnswer]:
        """Yield the answers in the order of writing; one image may come several times.

        Raises:
            OSError: the file exists and cannot be read.

        """
        bad = 0
        prompts: dict[str, str] = {}
        for line in self._read_lines():
            try:
                yield _parse_answer(json.loads(line), prompts)
            except (ValueError, TypeError, KeyError, RecursionError):
                bad += 1
        if bad > self._bad_reported:
            self._bad_reported = bad
            log.warning("%s: %d damaged or unfinished lines were skipped", self._path, bad)

    def _encode(self, answer: StoredAnswer, written: set[str]) -> bytes:
        """Return the line of an answer; ``written`` has the hashes of prompts that need not stand in it."""
        record = {"schema_version": SCHEMA_VERSION, "run_id": self._run_id, **to_jsonable(answer)}
        # The control group is about the run, not about the answer.
        del record["prompt"]["is_control"]
        if not answer.usage.at_least:
            del record["usage"]["at_least"]
        if len(answer.prompt.text) > _LONG_PROMPT:
            record["prompt"]["text_sha256"] = digest = _hash_prompt(answer.prompt.text)
            if digest in written:
                del record["prompt"]["text"]
            written.add(digest)
        return json_line(record) + b"\n"

    def _open(self) -> int:
        try:
            return os.open(self._path, _APPEND, 0o666)
        except FileNotFoundError:
            make_folder(self._path.parent, root=self._root)
            return os.open(self._path, _APPEND, 0o666)

    def _read_lines(self) -> Iterator[bytes]:
        try:
            handle = self._path.open("rb")
        except FileNotFoundError:
            return
        with handle:
            yield from (line for line in handle if line.strip())


def _line_feed_if_torn(descriptor: int) -> bytes:
    """Return a line feed if the file ends within a line, because its writer was killed; else nothing."""
    size = os.fstat(descriptor).st_size
    os.lseek(descriptor, max(size - 1, 0), os.SEEK_SET)
    return b"" if os.read(descriptor, 1) in {b"", b"\n"} else b"\n"


@lru_cache(maxsize=8)
def _hash_prompt(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _parse_answer(record: Any, prompts: MutableMapping[str, str]) -> StoredAnswer:
    """Return the answer of a line; raise ValueError, TypeError or KeyError if anything is wrong.

    ``prompts`` has the long prompts of earlier lines by their hash, and gets that of this line.
    """
    if record["schema_version"] != SCHEMA_VERSION:
        raise ValueError("written by another version")
    answered_at = datetime.fromisoformat(_require_type(record["answered_at"], str))
    if answered_at.tzinfo is None:
        raise ValueError("a moment without its zone")
    return StoredAnswer(
        key=_require_type(record["key"], str),
        size_bytes=_require_type(record["size_bytes"], int),
        mtime_ns=_require_type(record["mtime_ns"], int),
        sha256=_require_type(record["sha256"], str),
        fingerprint=_require_type(record["fingerprint"], str),
        artefacts=tuple(_parse_artefact(one) for one in _require_type(record["artefacts"], list)),
        prompt=_parse_prompt(record["prompt"], prompts),
        usage=_parse_usage(record["usage"]),
        model_version=_require_type(record["model_version"], str),
        response_id=_require_type(record["response_id"], str),
        answered_at=answered_at,
        dry_run=_require_type(record["dry_run"], bool),
        model=_require_type(record.get("model", ""), str),  # this and the next not in older lines
        counts_for=_parse_texts(record.get("counts_for", [])),
        notes=_parse_texts(record.get("notes", [])),
    )


def _parse_texts(record: Any) -> tuple[str, ...]:
    return tuple(_require_type(one, str) for one in _require_type(record, list))


def _parse_artefact(record: Any) -> Artefact:
    return Artefact(
        path=_require_type(record["path"], str),
        size_bytes=_require_type(record["size_bytes"], int),
        sha256=_require_type(record["sha256"], str),
    )


def _parse_prompt(record: Any, prompts: MutableMapping[str, str]) -> Prompt:
    digest = _require_type(_require_type(record, dict).get("text_sha256", ""), str)
    if "text" in record:
        text = _require_type(record["text"], str)
        if digest:
            prompts[digest] = text
    else:  # its line may be damaged: the answer counts all the same
        text = prompts.get(digest) or f"(a prompt with the SHA-256 {digest})"
    return Prompt(
        text=text,
        revision=_require_type(record["revision"], int),
        edits=tuple(_require_type(edit, str) for edit in _require_type(record["edits"], list)),
        parameters=tuple(
            map(Parameter, _require_type(record.get("parameters", []), list))
        ),  # not in older lines
    )


def _parse_usage(record: Any) -> Usage:
    return Usage(
        input_tokens=_require_type(record["input_tokens"], int),
        output_tokens=_require_type(record["output_tokens"], int),
        image_output_tokens=_require_type(record.get("image_output_tokens", 0), int),  # not in older lines
        at_least=_require_type(record.get("at_least", False), bool),  # where it is true only
    )


def _require_type(value: Any, kind: type[_Kind]) -> _Kind:
    if type(value) is not kind:
        raise TypeError(f"not a {kind.__name__}")
    return value
