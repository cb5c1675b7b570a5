"""Tables of the journal, and conversion of values to and from their rows.

``images`` has the last outcome of each image, ``answers`` each paid answer, ``known_failures`` for each image
the settings under which another call is not expected to help. ``lessons`` has the statistics of edits,
``proposed_edits`` the candidates. Each answer has a seal (a checksum of its row), because SQLite does not
notice a flipped bit inside a value, and a wrong value here is an answer paid twice. The CHECKs serve the
same purpose: ``PRAGMA integrity_check`` evaluates them.
"""

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from errors import ErrorKind, StopReason
from models import Artefact, ImageJob, Parameter, Prompt, StoredAnswer, Usage

VERSION = 5
"""``PRAGMA user_version`` of the tables. Version 1 had no ``lessons``, 2 no ``proposed_edits``,
3 no ``known_failures``, 4 no ``ledger_mark``."""

MAX_OUTCOMES = 1_000_000_000
"""Highest count of one arm; a higher one is a damaged value."""

MAX_INTEGER = 2**63 - 1
"""Largest number that SQLite stores as it is."""

Value = str | int | float | bytes | None
Row = tuple[Value, ...]

_KINDS = ", ".join(f"'{kind}'" for kind in ErrorKind)
_LATER_REASONS = {StopReason.LONG_WAIT, StopReason.LOCK_LOST}
"""A call never ends a run with these, which came later: the definition of the table must not change."""
_REASONS = ", ".join(f"'{reason}'" for reason in StopReason if reason not in _LATER_REASONS)


def _is_time(column: str) -> str:
    """Return the condition that a column holds a time as ``utc_isoformat`` writes it."""
    return f"({column} GLOB '????-??-??T??:??:??*+00:00' AND julianday({column}) IS NOT NULL)"


_IMAGES = f"""
    CREATE TABLE images (
        key TEXT NOT NULL PRIMARY KEY,
        size INTEGER NOT NULL CHECK (typeof(size) = 'integer'),
        mtime INTEGER NOT NULL CHECK (typeof(mtime) = 'integer'),
        sha256 TEXT,
        fingerprint TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'deferred')),
        kind TEXT CHECK (kind IN ({_KINDS})),
        detail TEXT NOT NULL,
        artefacts TEXT NOT NULL CHECK (json_valid(artefacts)),
        prompt_id TEXT NOT NULL,
        attempts INTEGER NOT NULL CHECK (typeof(attempts) = 'integer'),
        input_tokens INTEGER NOT NULL CHECK (typeof(input_tokens) = 'integer'),
        output_tokens INTEGER NOT NULL CHECK (typeof(output_tokens) = 'integer'),
        dry_run INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
        run_id TEXT,
        finished_at TEXT NOT NULL CHECK {_is_time("finished_at")},
        CHECK (outcome <> 'failed' OR kind IS NOT NULL)
    ) WITHOUT ROWID"""
_STATEMENTS = (
    f"""
    CREATE TABLE runs (
        run_id TEXT NOT NULL PRIMARY KEY,
        state TEXT NOT NULL CHECK (state IN ('running', 'ended', 'cut')),
        started_at TEXT NOT NULL CHECK {_is_time("started_at")},
        ended_at TEXT CHECK (ended_at IS NULL OR {_is_time("ended_at")}),
        exit_code INTEGER,
        version TEXT NOT NULL,
        model TEXT NOT NULL,
        prompt TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        dry_run INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
        options TEXT NOT NULL CHECK (json_valid(options)),
        found INTEGER,
        todo INTEGER
    ) WITHOUT ROWID""",
    """
    CREATE TABLE prompts (
        prompt_id TEXT NOT NULL PRIMARY KEY,
        text TEXT NOT NULL,
        revision INTEGER NOT NULL CHECK (typeof(revision) = 'integer'),
        edits TEXT NOT NULL CHECK (json_valid(edits))
    ) WITHOUT ROWID""",
    _IMAGES,
    """
    CREATE TABLE answers (
        answer_id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,
        standing INTEGER NOT NULL CHECK (standing IN (0, 1)),
        size INTEGER NOT NULL CHECK (typeof(size) = 'integer'),
        mtime INTEGER NOT NULL CHECK (typeof(mtime) = 'integer'),
        sha256 TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        artefacts TEXT NOT NULL,
        prompt_id TEXT NOT NULL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        model_version TEXT NOT NULL,
        response_id TEXT NOT NULL,
        answered_at TEXT NOT NULL,
        dry_run INTEGER NOT NULL,
        run_id TEXT,
        seal INTEGER NOT NULL
    )""",
    "CREATE UNIQUE INDEX answers_in_place ON answers (key) WHERE standing = 1",
    "CREATE INDEX answers_by_bytes ON answers (sha256, fingerprint)",
    "CREATE INDEX answers_by_size ON answers (fingerprint, size)",
    f"""
    CREATE TABLE attempts (
        key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        number INTEGER NOT NULL CHECK (typeof(number) = 'integer'),
        started_at TEXT NOT NULL CHECK {_is_time("started_at")},
        seconds REAL NOT NULL CHECK (typeof(seconds) = 'real'),
        prompt_id TEXT NOT NULL,
        timeout_s REAL NOT NULL CHECK (typeof(timeout_s) = 'real'),
        kind TEXT CHECK (kind IN ({_KINDS})),
        detail TEXT NOT NULL,
        http_status INTEGER CHECK (typeof(http_status) IN ('integer', 'null')),
        api_status TEXT,
        unavailable INTEGER NOT NULL CHECK (unavailable IN (0, 1)),
        ended_run TEXT CHECK (ended_run IN ({_REASONS})),
        quota_ids TEXT NOT NULL CHECK (json_valid(quota_ids)),
        input_tokens INTEGER NOT NULL CHECK (typeof(input_tokens) = 'integer'),
        output_tokens INTEGER NOT NULL CHECK (typeof(output_tokens) = 'integer'),
        PRIMARY KEY (key, run_id, number)
    ) WITHOUT ROWID""",
)
_LESSONS = f"""
    CREATE TABLE lessons (
        model TEXT NOT NULL,
        prompt_sha256 TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ({_KINDS})),
        arm TEXT NOT NULL,
        rescues REAL NOT NULL CHECK (typeof(rescues) = 'real' AND rescues BETWEEN 0 AND {MAX_OUTCOMES}),
        failures REAL NOT NULL CHECK (typeof(failures) = 'real' AND failures BETWEEN 0 AND {MAX_OUTCOMES}),
        PRIMARY KEY (model, prompt_sha256, kind, arm)
    ) WITHOUT ROWID"""
_PROPOSED_EDITS = f"""
    CREATE TABLE proposed_edits (
        model TEXT NOT NULL,
        prompt_sha256 TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ({_KINDS})),
        name TEXT NOT NULL,
        text TEXT NOT NULL,
        proposed_by TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('on_trial', 'joined', 'dropped')),
        PRIMARY KEY (model, prompt_sha256, name)
    ) WITHOUT ROWID"""
_PICTURE_TOKENS = """
    ALTER TABLE attempts ADD COLUMN image_output_tokens INTEGER NOT NULL DEFAULT 0
    CHECK (typeof(image_output_tokens) = 'integer')"""
_KNOWN_FAILURES = (
    _IMAGES.replace("TABLE images", "TABLE known_failures")
    .replace("key TEXT NOT NULL PRIMARY KEY", "key TEXT NOT NULL")
    .replace(
        "CHECK (outcome <> 'failed' OR kind IS NOT NULL)",
        "CHECK (outcome = 'failed' AND kind IS NOT NULL), PRIMARY KEY (key, fingerprint)",
    )
)
"""The columns of ``images`` in the same order, so that a row is copied as a whole."""
_MODEL_OF_ANSWER = "ALTER TABLE answers ADD COLUMN model TEXT NOT NULL DEFAULT ''"
_COUNTS_FOR = "ALTER TABLE answers ADD COLUMN counts_for TEXT NOT NULL DEFAULT ''"
_REPAIRS = "CREATE INDEX answers_that_repair ON answers (size) WHERE counts_for <> ''"
_FILE_IDENTITY = tuple(
    f"ALTER TABLE {table} ADD COLUMN {column} INTEGER CHECK (typeof({column}) IN ('integer', 'null'))"
    for table in ("images", "known_failures")
    for column in ("ctime", "inode")
)
"""Null where an earlier version wrote the row. Both tables keep the same columns in the same order."""
_PROCESS = "ALTER TABLE runs ADD COLUMN process TEXT NOT NULL DEFAULT ''"
_LEDGER_MARK = """
    CREATE TABLE ledger_mark (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        size INTEGER NOT NULL,
        mtime INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        tail_sha256 TEXT NOT NULL,
        answers INTEGER NOT NULL,
        seals INTEGER NOT NULL
    )"""
_ADDED_IN = {
    1: _STATEMENTS,
    2: (_LESSONS,),
    3: (_PROPOSED_EDITS, _PICTURE_TOKENS),
    4: (_KNOWN_FAILURES, _MODEL_OF_ANSWER, _COUNTS_FOR, _REPAIRS),
    5: (*_FILE_IDENTITY, _PROCESS, _LEDGER_MARK),
}
"""What each version added; existing tables and columns never change."""

_SEALED_BEFORE_4 = (
    "key, standing, size, sha256, fingerprint, artefacts, prompt_id,"
    " input_tokens, output_tokens, model_version, response_id, answered_at, dry_run"
)
SEALED = f"{_SEALED_BEFORE_4}, model, counts_for"
"""Columns that the seal covers. The image's time is not among them: ``touch`` changes it."""

_CONTROL = {"control": True}
"""Column ``edits`` of a prompt of the control group that has neither edits nor parameters.

Otherwise the column is an object of edits, parameters and control, or a plain list of edits."""

ANSWER = (
    "a.key, a.size, a.mtime, a.sha256, a.fingerprint, a.artefacts, p.text, p.revision, p.edits,"
    " a.input_tokens, a.output_tokens, a.model_version, a.response_id, a.answered_at, a.dry_run,"
    " a.model, a.counts_for FROM answers AS a JOIN prompts AS p USING (prompt_id)"
)
"""The columns and tables that ``answer_from`` reads."""


def create(connection: sqlite3.Connection, version: int = VERSION) -> None:
    """Add all tables to an empty database; the caller holds a transaction."""
    _add_versions(connection, after=0, version=version)


def upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Add the tables that came after ``version``; the caller holds a transaction."""
    _add_versions(connection, after=version, version=VERSION)


def _add_versions(connection: sqlite3.Connection, *, after: int, version: int) -> None:
    for number in range(after + 1, version + 1):
        for statement in _ADDED_IN[number]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")


def layout(connection: sqlite3.Connection) -> list[Row]:
    """Return the definitions of all tables, to compare with those of ``expected_layout``."""
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def expected_layout(version: int = VERSION) -> list[Row]:
    """Return what ``layout`` returns for an undamaged journal of this version."""
    connection = sqlite3.connect(":memory:")
    try:
        create(connection, version)
        return layout(connection)
    finally:
        connection.close()


def sealed_columns(version: int) -> str:
    """Return the columns that the seal covers in a journal of this version."""
    return SEALED if version >= 4 else _SEALED_BEFORE_4


def seal(row: Iterable[Value]) -> int:
    """Return the checksum over the ``SEALED`` columns of an answer.

    Columns that came later are left out while they are empty, so that earlier seals hold.
    """
    return zlib.crc32("\x1f".join(map(str, row)).rstrip("\x1f").encode("utf-8", "surrogatepass"))


def to_storable_text(text: str) -> str:
    """Return text that SQLite can store: lone surrogates (of broken escapes or file names) are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def clamp_mtime(mtime_ns: int) -> int:
    """Return a modification time that fits SQLite's 64 bits, which end in the year 2262."""
    return max(-(2**63), min(mtime_ns, MAX_INTEGER))


def file_identity(job: ImageJob) -> tuple[int | None, int | None]:
    """Return the columns ``ctime`` and ``inode`` of an image's file; an inode has 64 bits, SQLite 63."""
    ctime = None if job.ctime_ns is None else clamp_mtime(job.ctime_ns)
    return ctime, None if job.inode is None else job.inode & MAX_INTEGER


def utc_isoformat(moment: datetime) -> str:
    """Return a UTC time as text that sorts as the times do."""
    return moment.astimezone(UTC).isoformat()


def pack_artefacts(artefacts: Iterable[Artefact]) -> str:
    """Return artefacts as JSON: a list of [path, bytes, sha256]."""
    return json.dumps([[artefact.path, artefact.size_bytes, artefact.sha256] for artefact in artefacts])


def unpack_artefacts(packed: str) -> tuple[Artefact, ...]:
    """Return the artefacts in JSON of ``pack_artefacts``."""
    return tuple(
        Artefact(path=path, size_bytes=size_bytes, sha256=sha256)
        for path, size_bytes, sha256 in json.loads(packed)
    )


@lru_cache(maxsize=64)  # nearly all images of a run share a few prompts, and each needs its row three times
def prompt_row(prompt: Prompt) -> tuple[str, str, int, str]:
    """Return the row of a prompt; its id is a hash of the other columns, so equal prompts share a row."""
    text, edits = to_storable_text(prompt.text), json.dumps(_encode_variant(prompt))
    return prompt_id(text, prompt.revision, edits), text, prompt.revision, edits


def _encode_variant(prompt: Prompt) -> object:
    if prompt.parameters or (prompt.is_control and prompt.edits):
        variant = {"edits": prompt.edits, "parameters": prompt.parameters}
        return {**variant, **_CONTROL} if prompt.is_control else variant
    return _CONTROL if prompt.is_control else prompt.edits


def prompt_id(text: str, revision: int, edits: str) -> str:
    """Return the id of a row of ``prompts``."""
    return hashlib.sha256(json.dumps([text, revision, edits]).encode()).hexdigest()[:24]


def prompt_from(text: str, revision: int, edits: str) -> Prompt:
    """Return the prompt in a row of ``prompts``."""
    decoded = json.loads(edits)
    variant = decoded if isinstance(decoded, dict) else {"edits": decoded}
    return Prompt(
        text=text,
        revision=revision,
        edits=tuple(variant.get("edits", ())),
        is_control=bool(variant.get("control")),
        parameters=tuple(map(Parameter, variant.get("parameters", ()))),
    )


def answer_from(
    row: tuple[str, int, int, str, str, str, str, int, str, int, int, str, str, str, int, str, str],
) -> StoredAnswer:
    """Return the answer in a row of the ``ANSWER`` columns."""
    return StoredAnswer(
        key=row[0],
        size_bytes=row[1],
        mtime_ns=row[2],
        sha256=row[3],
        fingerprint=row[4],
        artefacts=unpack_artefacts(row[5]),
        prompt=prompt_from(*row[6:9]),
        usage=Usage(input_tokens=row[9], output_tokens=row[10]),
        model_version=row[11],
        response_id=row[12],
        answered_at=datetime.fromisoformat(row[13]),
        dry_run=bool(row[14]),
        model=row[15],
        counts_for=tuple(row[16].split()),
    )
