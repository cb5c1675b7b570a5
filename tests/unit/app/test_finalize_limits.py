"""The documents name the limit that stopped a run, until when, and how many more runs it takes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from jsonschema import Draft202012Validator

from app.finalize import QuotaSources, RunFinalizer
from errors import FatalError, StopReason
from rate_limit.types import RateLimitStats, WaitCause
from reports.documents import ProcessingStats
from reports.run_report import PlanCounts, QuotaStatus, Tally, TreeTotals, build_processing_stats
from reports.summary import build_last_line
from settings.fail_on import FailOn
from storage.journal.journal import Journal
from storage.journal.plan import Plan
from tests.support.outcomes import START, archiver, deferred, run_info, succeeded
from tests.support.paths import SCHEMAS

BERLIN = ZoneInfo("Europe/Berlin")
SCHEMA = SCHEMAS / "processing_stats.schema.json"
PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
SPENT = FatalError(
    StopReason.DAILY_QUOTA,
    "HTTP 429: You exceeded your current quota.",
    retry_after_s=36.0,
    quota_ids=(PER_DAY,),
    quota_value=250,
)
UNNAMED = FatalError(StopReason.DAILY_QUOTA, "x", quota_ids=(PER_DAY,))
STATS = RateLimitStats(
    pace_rpm=60.0,
    limit_rpm=60.0,
    limit_tpm=None,
    limit_is_named=False,
    concurrency=5,
    in_flight=0,
    waiting=0,
    waiting_for=None,
    waiting_until_s=None,
    waited_s=dict.fromkeys(WaitCause, 0.0),
    rejections={PER_DAY: 2},
    requests=5,
    rejected=2,
    wasted_upload_bytes=2000,
)


def stats_of(stop: FatalError | None, *, not_started: int = 738, **limits: Any) -> ProcessingStats:
    """Return the document about a run with three answers and two deferred images, in Berlin."""
    tally = Tally()
    for number in range(3):
        tally.add(succeeded(f"{number}.jpg"))
    for number in range(2):
        tally.add(deferred(f"later-{number}.jpg"))
    to_do = 5 + not_started
    return build_processing_stats(
        run=run_info(),
        ended_at=START + timedelta(hours=2),
        tally=tally,
        plan=PlanCounts(found=to_do, already_answered=0, known_failures=0, not_selected=0, to_do=to_do),
        tree=TreeTotals(answered=3, failed=0, deferred=2, input_tokens=1, output_tokens=1),
        stop=stop,
        quota=QuotaStatus(zone=BERLIN, **limits),
    )


def test_the_last_line_after_a_daily_quota() -> None:
    """What happened, when it resets here, when cron may come, how many more runs, and the exit code."""
    assert build_last_line(stats_of(SPENT)) == (
        "Stopped: the project's quota for the day is used up: HTTP 429: You exceeded your current quota."
        " Next: run again after 09:00 on 24 Nov (local time), when the quota of a day resets (09:05 suits"
        " cron all year); at 250 a day the remaining 740 images take 3 more days, until 26 Nov."
        " (exit code 75: quota, credit or outage: run again later)"
    )


def test_the_document_after_a_daily_quota() -> None:
    """The same as numbers."""
    stopped = stats_of(SPENT).stopped

    assert stopped
    assert stopped.reason is StopReason.DAILY_QUOTA
    assert stopped.resets_at == datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    assert stopped.resets_at_local == "2026-11-24T09:00:00+01:00"
    assert (stopped.images_left, stopped.images_per_night, stopped.nights_left) == (740, 250, 3)


@pytest.mark.parametrize(
    ("answered_today", "each"), [(20, 20), (0, 3), (None, 3)], ids=["journal", "none-today", "not-known"]
)
def test_without_a_named_quota_the_answers_of_the_day_count(answered_today: int | None, each: int) -> None:
    """Those of all runs of the quota day where they are known, else those of this run."""
    stopped = stats_of(UNNAMED, answered_today=answered_today).stopped

    assert stopped
    assert (stopped.images_per_night, stopped.nights_left) == (each, -(-740 // each))


def test_only_a_clock_that_decides_is_told() -> None:
    """Spent credit does not come back by itself: there is no moment, and no number of runs."""
    stopped = stats_of(FatalError(StopReason.CREDIT_SPENT, "the project's credit is spent: x")).stopped

    assert stopped
    assert stopped.detail == "the project's credit is spent: x"
    assert (stopped.resets_at, stopped.resets_at_local, stopped.nights_left) == (None, None, None)
    assert stopped.remedy.endswith("then run again; 740 images are left")


@pytest.mark.parametrize(
    "stop",
    [
        None,
        SPENT,
        UNNAMED,
        FatalError(StopReason.SPEND_LIMIT, "x", retry_after_s=30.0),
        FatalError(StopReason.NO_QUOTA, "x"),
        FatalError(StopReason.TERMINATED, "x"),
    ],
    ids=lambda stop: stop.reason if stop else "not-stopped",
)
@pytest.mark.parametrize("stats", [None, STATS], ids=["not-paced", "paced"])
def test_the_document_fits_its_schema(
    tmp_path: Path, stop: FatalError | None, stats: RateLimitStats | None
) -> None:
    """However a run ended, and whether or not it got so far as to pace anything."""
    path = archiver(tmp_path).write_document("processing_stats", stats_of(stop, stats=stats))

    Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(json.loads(path.read_bytes()))


def run_to_document(folder: Path, stop: FatalError, sources: QuotaSources, *, dry_run: bool = False) -> Any:
    """Return the document, the same under both names, after a run ended with a real journal and archiver."""
    run, output_archiver, tally = run_info(dry_run=dry_run), archiver(folder, dry_run=dry_run), Tally()
    tally.add(succeeded())
    plan = Plan(found=9, answered=0, copyable=0, todo=9, known_failures={}, not_selected=0, reasons={})
    (folder / "metadata").mkdir()
    journal = Journal.open(
        folder / "metadata/journal.db", run=run, is_present=output_archiver.is_present, utcnow=lambda: START
    )
    with journal:
        journal.begin_run()
        finalizer = RunFinalizer(
            run=run,
            journal=journal,
            archiver=output_archiver,
            archive_format="none",
            fail_on=FailOn(at_least=1),
            command="python main.py",
            utcnow=lambda: START + timedelta(hours=2),
            quota_sources=sources,
        )
        finalizer.finalize(tally, plan, stop)
    document = (output_archiver.documents / "processing_stats.json").read_bytes()
    assert (output_archiver.documents / f"runs/{run.run_id}.json").read_bytes() == document
    return json.loads(document)


def test_the_finalizer_asks_for_the_answers_since_the_last_reset(tmp_path: Path) -> None:
    """The quota day began at the midnight in California before the end; figures go into the document."""
    asked: list[datetime] = []

    def answered_since(moment: datetime) -> int:
        asked.append(moment)
        return 4

    sources = QuotaSources(rate_limit_stats=STATS, count_answered_since=answered_since, zone=BERLIN)
    document = run_to_document(tmp_path, UNNAMED, sources)

    assert set(asked) == {datetime(2026, 11, 23, 8, 0, tzinfo=UTC)}
    assert document["stopped"]["images_left"] == 8
    assert (document["stopped"]["images_per_night"], document["stopped"]["nights_left"]) == (4, 2)
    assert document["stopped"]["resets_at_local"] == "2026-11-24T09:00:00+01:00"
    assert document["pacing"]["refused_by_quota"] == {PER_DAY: 2}


@pytest.mark.parametrize(
    ("reason", "dry_run"),
    [(StopReason.INTERRUPTED, False), (StopReason.DAILY_QUOTA, True)],
    ids=["other-end", "dry-run"],
)
def test_the_journal_is_not_asked_in_vain(tmp_path: Path, reason: StopReason, *, dry_run: bool) -> None:
    """Only a spent quota of a day needs the number, and simulated answers use up none."""
    asked: list[datetime] = []
    sources = QuotaSources(count_answered_since=asked.append)

    run_to_document(tmp_path, FatalError(reason, "x"), sources, dry_run=dry_run)

    assert asked == []


def test_a_run_without_sources_tells_what_it_knows_itself(tmp_path: Path) -> None:
    """Nothing was paced and no journal asked: the run's own answers give how many runs are left."""
    document = run_to_document(tmp_path, UNNAMED, QuotaSources(zone=BERLIN))

    assert document["pacing"] is None
    assert (document["stopped"]["images_per_night"], document["stopped"]["nights_left"]) == (1, 8)
