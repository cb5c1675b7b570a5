"""Runs for tests of reports, and documents held against their schemas."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from errors import ErrorKind, FatalError
from models import Outcome, Reused, StoredAnswer, Usage
from reports.run_report import (
    PlanCounts,
    ProcessingStats,
    Tally,
    TreeTotals,
    build_processing_stats,
)
from tests.support.outcomes import (
    BASE,
    SOFT,
    START,
    deferred,
    failed,
    job,
    run_info,
    succeeded,
)
from tests.support.paths import SCHEMAS

TREE = TreeTotals(answered=7, failed=2, deferred=1, input_tokens=9000, output_tokens=80)


def schema(name: str) -> Any:
    """Return a schema, itself checked."""
    document = json.loads((SCHEMAS / f"{name}.schema.json").read_bytes())
    Draft202012Validator.check_schema(document)
    return document


def load_checked(path: Path) -> Any:
    """Validate a document on the disk by the schema of its name; return it."""
    document = json.loads(path.read_bytes())
    Draft202012Validator(schema(path.stem)).validate(document)
    return document


def stored_answer() -> StoredAnswer:
    """Return a stored answer."""
    return StoredAnswer(
        key="old.jpg", size_bytes=1, mtime_ns=1, sha256="0" * 64, fingerprint="f", artefacts=(), prompt=BASE,
        usage=Usage(), model_version="", response_id="", answered_at=START,
    )  # fmt: skip


def tally_of(*outcomes: Outcome) -> Tally:
    """Return the tally of these outcomes."""
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    return tally


def plan_for(tally: Tally, *, not_started: int = 0, answered: int = 0, known: int = 0) -> PlanCounts:
    """Return the plan that this tally would come from."""
    to_do = tally.finished + not_started
    return PlanCounts(
        found=to_do + answered + known,
        already_answered=answered,
        known_failures=known,
        not_selected=0,
        to_do=to_do,
    )


def stats_of(tally: Tally, plan: PlanCounts | None = None, stop: FatalError | None = None) -> ProcessingStats:
    """Return the document about a run of 90 seconds."""
    return build_processing_stats(
        run=run_info(),
        ended_at=START + timedelta(seconds=90),
        tally=tally,
        plan=plan or plan_for(tally),
        tree=TREE,
        stop=stop,
    )


def mixed_tally() -> Tally:
    """Return the tally of a run with every kind of outcome."""
    tally = tally_of(
        succeeded("a.jpg"),
        succeeded("b.jpg", kinds=(ErrorKind.SERVER, ErrorKind.SERVER, ErrorKind.TIMEOUT)),
        succeeded("c.jpg", kinds=(ErrorKind.BLOCKED, ErrorKind.BLOCKED), prompt=SOFT),
        Reused(job=job("d.jpg"), answer=stored_answer()),
        failed("e.jpg", ErrorKind.BLOCKED),
        failed("f.jpg"),
        deferred("g.jpg", ErrorKind.RATE_LIMITED, ErrorKind.RATE_LIMITED),
        deferred("h.jpg"),
    )
    tally.record_unsaved(succeeded("i.jpg"))
    for number in range(9):
        tally.skip("hidden", Path(f"photos/.{number}"))
    tally.skip("link_loop", Path("photos/\udcff"))
    return tally
