"""Repairs: runs by hand with other settings, whose answers count for the standing settings too.

A repair is a run with ``--only`` or ``--retry-failed``: it asks again about what has no answer, often another
model or in other words. What it answers is not asked again under the settings that had failed. The standing
settings are those of the newest run that was neither a repair nor forced. See docs/adr/0012.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence

from errors import WORTH_RETRYING_LATER
from models import RunInfo
from storage.journal import schema

_IS_REPAIR = "coalesce(json_extract(options, '$.only') <> '' OR json_extract(options, '$.retry_failed'), 0)"
_IS_FORCED = "coalesce(json_extract(options, '$.force'), 0)"
_STANDING = (
    "SELECT fingerprint FROM runs WHERE dry_run = 0 AND run_id <> ?"  # noqa: S608
    f" AND NOT {_IS_REPAIR} AND NOT {_IS_FORCED} ORDER BY started_at DESC, run_id DESC LIMIT 1"
)
_REAL_RUNS = (
    f"SELECT run_id, fingerprint, {_IS_REPAIR}, {_IS_FORCED} FROM runs"  # noqa: S608
    " WHERE dry_run = 0 ORDER BY started_at, run_id"
)
_PAGE = f"SELECT answer_id, run_id, {schema.SEALED} FROM answers WHERE answer_id > ? ORDER BY answer_id LIMIT"  # noqa: S608
_PAGE_ROWS = 500


def find_repaired_settings(
    connection: sqlite3.Connection, run: RunInfo, keys: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return for each image the fingerprints of other settings for which an answer of this repair counts.

    These are the standing settings, and those under which the image has failed or was deferred.
    """
    standing = [fingerprint for (fingerprint,) in connection.execute(_STANDING, (run.run_id,))]
    rows = connection.execute(
        "SELECT key, fingerprint FROM known_failures WHERE key IN (SELECT value FROM json_each(?1))"
        " UNION SELECT key, fingerprint FROM images WHERE outcome <> 'succeeded' AND dry_run = 0"
        " AND key IN (SELECT value FROM json_each(?1)) ORDER BY key, fingerprint",
        (json.dumps(keys),),
    )
    found = {key: dict.fromkeys(standing) for key in keys}
    for key, fingerprint in rows:
        found[key][fingerprint] = None
    return {key: tuple(one for one in settings if one != run.fingerprint) for key, settings in found.items()}


def restore_known_failure(connection: sqlite3.Connection, key: str, fingerprint: str) -> None:
    """Write the image's row anew from its failure under these settings."""
    connection.execute(
        "INSERT OR REPLACE INTO images SELECT * FROM known_failures WHERE key = ? AND fingerprint = ?",
        (key, fingerprint),
    )


def upgrade_to_version_4(connection: sqlite3.Connection) -> None:
    """Fill the tables and columns of version 4 from what earlier versions recorded.

    Their repairs count from now on too, also where a later failure has moved the answer to the history.
    """
    transient = ", ".join(f"'{kind}'" for kind in sorted(WORTH_RETRYING_LATER))
    connection.execute(
        "INSERT INTO known_failures SELECT * FROM images"  # noqa: S608
        f" WHERE outcome = 'failed' AND dry_run = 0 AND kind NOT IN ({transient})"
    )
    models = dict(connection.execute("SELECT fingerprint, model FROM runs ORDER BY started_at"))
    repairs = dict(_iter_repairs(connection))
    last = 0
    while rows := connection.execute(f"{_PAGE} {_PAGE_ROWS}", (last,)).fetchall():
        for answer_id, run_id, *sealed in rows:
            standing = repairs.get((run_id, sealed[4]), "")
            counts_for = standing and _unless_answered(connection, sealed, standing)
            sealed[-2:] = models.get(sealed[4], ""), counts_for
            connection.execute(
                "UPDATE answers SET model = ?, counts_for = ?, seal = ? WHERE answer_id = ?",
                (*sealed[-2:], schema.seal(sealed), answer_id),
            )
        last = rows[-1][0]


def _unless_answered(connection: sqlite3.Connection, sealed: Sequence[schema.Value], standing: str) -> str:
    """Return the standing settings; empty if they had an answer of their own, or the answer is simulated."""
    row = connection.execute(
        "SELECT 1 FROM answers WHERE sha256 = ? AND fingerprint = ? AND dry_run = 0", (sealed[3], standing)
    ).fetchone()
    is_dry = sealed[12]
    return "" if row or is_dry else standing


def _iter_repairs(connection: sqlite3.Connection) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield run and fingerprint of each repair with the fingerprint of the settings that stood then."""
    standing = ""
    for run_id, fingerprint, is_repair, is_forced in connection.execute(_REAL_RUNS):
        if not is_repair and not is_forced:
            standing = fingerprint
        elif is_repair and standing not in {"", fingerprint}:
            yield (run_id, fingerprint), standing
