"""Harness of the journal's tests: real files, a real journal, a simple archiver and processor.

``World`` plays run after run over one input and one output directory in the order of writes that
the program promises: ledger line, earlier files to the history, artefacts, journal row.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from errors import ErrorKind
from models import (
    Artefact,
    Attempt,
    Deferred,
    Failed,
    Generation,
    ImageContent,
    ImageJob,
    Outcome,
    Prompt,
    RunInfo,
    StoredAnswer,
    Succeeded,
    Usage,
)
from storage.journal import schema
from storage.journal.journal import Journal
from storage.journal.plan import Plan, Selection

START = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
USAGE = Usage(input_tokens=1120, output_tokens=10)

Ending = ErrorKind | str
"""Scripted outcome of an image: a kind of error, ``deferred`` or ``answered``."""


def sha256_of(data: bytes) -> str:
    """Return the hash in hex."""
    return hashlib.sha256(data).hexdigest()


def run_info(
    number: int = 1, *, prompt: str = "describe", dry_run: bool = False, selection: Selection | None = None
) -> RunInfo:
    """Return a run; its fingerprint depends on the prompt alone."""
    chosen = selection or Selection()
    return RunInfo(
        run_id=f"2026112{number}T220000Z-{number:04x}",
        started_at=START + timedelta(days=number),
        version="1.0",
        model="gemini-3.5-flash-lite",
        prompt=prompt,
        fingerprint=sha256_of(prompt.encode()),
        dry_run=dry_run,
        options={
            "max_concurrent": 5,
            "api_base_url": None,
            "retry_failed": chosen.retry_failed,
            "only": ",".join(sorted(chosen.only)) or None,
            "force": chosen.force,
        },
    )


def an_attempt(number: int = 1, *, prompt: Prompt | None = None, kind: ErrorKind | None = None) -> Attempt:
    """Return a call that was answered, or failed with this kind of error."""
    return Attempt(
        number=number,
        started_at=START + timedelta(seconds=number),
        seconds=1.5,
        prompt=prompt or Prompt(text="describe"),
        timeout_s=180.0,
        kind=kind,
        detail=f"{kind} happened" if kind else "",
        http_status=503 if kind else 200,
        usage=Usage() if kind else USAGE,
    )


@dataclass(slots=True)
class PlayedRun:
    """The plan of one run, and the images that it sent, copied and hashed."""

    plan: Plan
    calls: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    hashed: list[str] = field(default_factory=list)


class World:
    """An input directory, an output directory, and the runs over them."""

    def __init__(self, folder: Path) -> None:
        self.images = folder / "images"
        self.output = folder / "output"
        self.images.mkdir()
        self.ledger: list[StoredAnswer] = []
        self.endings: dict[str, Ending] = {}
        self.endings_by_prompt: dict[tuple[str, str], Ending] = {}
        """By prompt and image; these go before ``endings``."""
        self.runs_played = 0

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        return self.output / "metadata" / "journal.db"

    def put(self, name: str, data: bytes, *, mtime_s: int = 1_700_000_000) -> Path:
        """Write an image; without an explicit time it always gets the same one."""
        path = self.images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (mtime_s, mtime_s))
        return path

    def result_of(self, name: str) -> str:
        """Return the text of the image's current answer."""
        return (self.output / f"successful/{name}_result.txt").read_text()

    def find_images(self) -> Iterator[ImageJob]:
        """Yield every file of the input directory as a job."""
        for path in sorted(path for path in self.images.rglob("*") if path.is_file()):
            stat = path.stat()
            key = path.relative_to(self.images).as_posix()
            yield ImageJob(
                key=key,
                path=path,
                size_bytes=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                ctime_ns=stat.st_ctime_ns,
                inode=stat.st_ino,
            )

    def is_present(self, artefact: Artefact) -> bool:
        """Return whether the file exists with the right size."""
        path = self.output / artefact.path
        return path.is_file() and path.stat().st_size == artefact.size_bytes

    def has_expected_hash(self, artefact: Artefact) -> bool:
        """Return whether the file exists with the right bytes."""
        return (
            self.is_present(artefact)
            and sha256_of((self.output / artefact.path).read_bytes()) == artefact.sha256
        )

    def open(self, run: RunInfo) -> Journal:
        """Open the journal as the program does, and import the ledger if needed."""
        journal = Journal.open(self.journal_path, run=run, is_present=self.is_present, utcnow=lambda: START)
        if journal.needs_ledger:
            journal.import_ledger(self.ledger, self.has_expected_hash)
        return journal

    def play_run(
        self, *, prompt: str = "describe", dry_run: bool = False, selection: Selection | None = None
    ) -> PlayedRun:
        """Play one whole run."""
        self.runs_played += 1
        run = run_info(self.runs_played, prompt=prompt, dry_run=dry_run, selection=selection)
        with self.open(run) as journal:
            journal.begin_run()
            hashed: list[str] = []
            plan = journal.plan(
                self.find_images(), selection=selection or Selection(), hash_file=self._hasher(hashed)
            )
            played = PlayedRun(plan, hashed=hashed)
            for job, answer in journal.copies():
                self.copy(journal, run, job, answer)
                played.copied.append(job.key)
            for job in journal.jobs():
                self._process(journal, run, job, played)
            journal.end_run(exit_code=0, ended_at=START)
        return played

    def finish(self, journal: Journal, run: RunInfo, outcome: Outcome) -> None:
        """Store and record one outcome."""
        artefacts: tuple[Artefact, ...] = ()
        moved_to_history: tuple[Artefact, ...] = ()
        finished_at = START + timedelta(days=self.runs_played)
        (before,) = journal.find_predecessors([outcome.job.key])
        if isinstance(outcome, Succeeded):
            artefacts, moved_to_history = self.store(journal, run, outcome, finished_at)
        journal.record_one(
            outcome,
            artefacts,
            finished_at=finished_at,
            moved_to_history=moved_to_history,
            counts_for=before.counts_for,
        )

    def store(
        self, journal: Journal, run: RunInfo, outcome: Succeeded, finished_at: datetime
    ) -> tuple[tuple[Artefact, ...], tuple[Artefact, ...]]:
        """Write ledger line and artefact, the earlier one moved away; return both sets of files."""
        data = outcome.generation.text.encode()
        artefact = Artefact(
            path=f"successful/{outcome.job.key}_result.txt", size_bytes=len(data), sha256=sha256_of(data)
        )
        (before,) = journal.find_predecessors([outcome.job.key])
        self.ledger.append(
            StoredAnswer(
                key=outcome.job.key,
                size_bytes=outcome.job.size_bytes,
                mtime_ns=outcome.job.mtime_ns,
                sha256=outcome.content.sha256,
                fingerprint=run.fingerprint,
                artefacts=(artefact,),
                prompt=outcome.prompt,
                usage=outcome.generation.usage,
                model_version="",
                response_id="",
                answered_at=finished_at,
                dry_run=run.dry_run,
                model=run.model,
                counts_for=before.counts_for,
            )
        )
        moved_to_history = self._move(before.artefacts, run)
        self._write(artefact.path, data)
        return (artefact,), moved_to_history

    def copy(self, journal: Journal, run: RunInfo, job: ImageJob, answer: StoredAnswer) -> None:
        """Copy an answer to another name, after comparing its bytes."""
        source = answer.artefacts[0]
        data = (self.output / source.path).read_bytes()
        assert sha256_of(data) == source.sha256
        artefact = replace(source, path=f"successful/{job.key}_result.txt")
        self.ledger.append(
            replace(
                answer,
                key=job.key,
                size_bytes=job.size_bytes,
                mtime_ns=job.mtime_ns,
                artefacts=(artefact,),
            )
        )
        moved_to_history = self._move(journal.find_replaced(job.key), run)
        self._write(artefact.path, data)
        journal.record_copy(job, answer, (artefact,), moved_to_history=moved_to_history)

    def displace(self, name: str, run: RunInfo) -> None:
        """Move an image's answer to the history, as failures did before format 4, and record its failure."""
        with closing(sqlite3.connect(self.journal_path, isolation_level=None)) as connection:
            columns = schema.sealed_columns(3)
            (row,) = connection.execute(
                f"SELECT {columns} FROM answers WHERE key = ? AND standing = 1",  # noqa: S608
                (name,),
            ).fetchall()
            moved = self._move(schema.unpack_artefacts(row[5]), run)
            sealed = [row[0], 0, *row[2:5], schema.pack_artefacts(moved), *row[6:]]
            connection.execute(
                "UPDATE answers SET standing = 0, artefacts = ?, seal = ? WHERE key = ? AND standing = 1",
                (sealed[5], schema.seal(sealed), name),
            )
            connection.execute(
                "UPDATE images SET outcome = 'failed', kind = 'truncated', fingerprint = ? WHERE key = ?",
                (run.fingerprint, name),
            )

    def succeeded(self, job: ImageJob, prompt: str = "describe", text: str | None = None) -> Succeeded:
        """Return the outcome of an image that is answered by a text naming its bytes."""
        digest = sha256_of(job.path.read_bytes())
        return Succeeded(
            job=job,
            content=ImageContent(sha256=digest, mime_type="image/png", width=1, height=1),
            prompt=Prompt(text=prompt),
            generation=Generation(text=text or f"{prompt}: {digest}", usage=USAGE),
            attempts=(an_attempt(),),
        )

    def _process(self, journal: Journal, run: RunInfo, job: ImageJob, played: PlayedRun) -> None:
        answer = journal.find_answer(sha256_of(job.path.read_bytes()))
        if answer:
            self.copy(journal, run, job, answer)
            played.copied.append(job.key)
            return
        played.calls.append(job.key)
        self.finish(journal, run, self._outcome(job, run.prompt))

    def _outcome(self, job: ImageJob, prompt: str) -> Outcome:
        ending = self.endings_by_prompt.get((prompt, job.key)) or self.endings.get(job.key, "answered")
        if isinstance(ending, ErrorKind):
            return failed(job, ending, data=job.path.read_bytes())
        if ending == "deferred":
            return deferred(job, attempts=(an_attempt(kind=ErrorKind.SERVER),))
        return self.succeeded(job, prompt)

    def _move(self, artefacts: Sequence[Artefact], run: RunInfo) -> tuple[Artefact, ...]:
        moved = []
        for artefact in artefacts:
            source = self.output / artefact.path
            target = replace(artefact, path=f"metadata/history/{run.run_id}/{artefact.path}")
            if source.exists():
                (self.output / target.path).parent.mkdir(parents=True, exist_ok=True)
                source.rename(self.output / target.path)
                moved.append(target)
        return tuple(moved)

    def _write(self, name: str, data: bytes) -> None:
        path = self.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def _hasher(self, hashed: list[str]) -> Callable[[Path], str]:
        def hash_file(path: Path) -> str:
            hashed.append(path.relative_to(self.images).as_posix())
            return sha256_of(path.read_bytes())

        return hash_file


def downgrade(path: Path, version: int) -> None:
    """Make a journal what an earlier version would have left."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (
            "DROP TABLE ledger_mark",
            "ALTER TABLE runs DROP COLUMN process",
            *(f"ALTER TABLE images DROP COLUMN {column}" for column in ("inode", "ctime")),
            *(f"ALTER TABLE known_failures DROP COLUMN {column}" for column in ("inode", "ctime")),
            *(["DROP TABLE known_failures"] if version < 4 else []),
            *(["DROP INDEX answers_that_repair"] if version < 4 else []),
            *(["ALTER TABLE answers DROP COLUMN counts_for"] if version < 4 else []),
            *(["ALTER TABLE answers DROP COLUMN model"] if version < 4 else []),
            *(["DROP TABLE proposed_edits"] if version < 3 else []),
            *(["ALTER TABLE attempts DROP COLUMN image_output_tokens"] if version < 3 else []),
            *(["DROP TABLE lessons"] if version < 2 else []),
            f"PRAGMA user_version = {version}",
        ):
            connection.execute(statement)
        columns = schema.sealed_columns(version)
        for answer_id, *row in connection.execute(f"SELECT answer_id, {columns} FROM answers").fetchall():  # noqa: S608
            connection.execute(
                "UPDATE answers SET seal = ? WHERE answer_id = ?", (schema.seal(row), answer_id)
            )
        assert schema.layout(connection) == schema.expected_layout(version)


def failed(job: ImageJob, kind: ErrorKind, *, data: bytes | None = None) -> Failed:
    """Return the outcome of an image that failed with this kind of error."""
    content = ImageContent(sha256=sha256_of(data), mime_type="image/png", width=1, height=1) if data else None
    return Failed(
        job=job,
        content=content,
        prompt=Prompt(text="describe"),
        kind=kind,
        detail=f"{kind} happened",
        attempts=(an_attempt(kind=kind),),
    )


def deferred(job: ImageJob, *, attempts: tuple[Attempt, ...] = ()) -> Deferred:
    """Return the outcome of an image that is left to the next run."""
    return Deferred(
        job=job,
        prompt=Prompt(text="describe"),
        detail="the service was unavailable",
        kind=attempts[-1].kind if attempts else None,
        attempts=attempts,
    )


def a_job(key: str, *, path: Path | None = None, size_bytes: int = 100, mtime_ns: int = 1) -> ImageJob:
    """Return a job for which no file needs to exist."""
    return ImageJob(key=key, path=path or Path("/nowhere") / key, size_bytes=size_bytes, mtime_ns=mtime_ns)
