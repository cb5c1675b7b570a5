"""Rules of reports/attempt_history.py: each call of an image with its cost, also from the journal."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from app.finalize import RunFinalizer
from models import RunInfo, Succeeded, Usage
from reports.attempt_history import build_evolution_entry
from settings.fail_on import FailOn
from storage.journal.journal import Journal
from storage.journal.plan import Plan
from tests.support.attempts import USAGE, failed_twice, tally_of
from tests.support.outcomes import SOFT, START, archiver, run_info, succeeded


def chains_after(folder: Path, *runs: tuple[RunInfo, Succeeded]) -> dict[str, Any]:
    """Return the entries after these runs about one image, with real journal and archiver."""
    plan = Plan(found=1, answered=0, copyable=0, todo=1, known_failures={}, not_selected=0, reasons={})
    (folder / "metadata").mkdir()
    writes = archiver(folder)
    for run, outcome in runs:
        tally = tally_of([outcome])
        journal = Journal.open(
            folder / "metadata/journal.db", run=run, is_present=writes.is_present, utcnow=lambda: START
        )
        with journal:
            journal.begin_run()
            journal.record_one(outcome, (), finished_at=START)
            RunFinalizer(
                run=run, journal=journal, archiver=writes, archive_format="none",
                fail_on=FailOn(at_least=1), command="python main.py", utcnow=lambda: START,
            ).finalize(tally, plan, None)  # fmt: skip
    document = json.loads((folder / "metadata/prompt_evolution.json").read_bytes())
    return {image["key"]: image["attempts"] for image in document["images"]}


def rescued(key: str) -> Succeeded:
    """Return an image that was rescued by an edit."""
    outcome = failed_twice((SOFT, None))
    assert isinstance(outcome, Succeeded)
    return replace(outcome, job=succeeded(key).job, content=succeeded(key).content)


def test_calls_of_an_earlier_night_have_no_price(tmp_path: Path) -> None:
    """Another model may have been asked then; a call of this run has the price of this run."""
    tomorrow = timedelta(days=1)
    later = rescued("b.jpg")
    attempts = tuple(replace(one, started_at=one.started_at + tomorrow) for one in later.attempts)
    chains = chains_after(
        tmp_path,
        (run_info(1), rescued("a.jpg")),
        (replace(run_info(2), started_at=START + tomorrow), replace(later, attempts=attempts)),
    )

    assert [call["cost_usd"] for call in chains["a.jpg"]] == [None] * 3
    assert [call["cost_usd"] for call in chains["b.jpg"]] == [0.001] * 3


def test_pictures_have_their_own_price_in_a_chain(tmp_path: Path) -> None:
    """The journal stores their tokens apart, so that a call costs there what it costs in the total."""
    outcome = rescued("a.jpg")
    *failures, last = outcome.attempts
    drawn = replace(last, usage=USAGE._replace(image_output_tokens=9))

    chains = chains_after(tmp_path, (run_info(1), replace(outcome, attempts=(*failures, drawn))))

    assert [call["cost_usd"] for call in chains["a.jpg"]] == [0.001, 0.001, 0.01]


def test_prices_go_by_the_moment_of_each_call() -> None:
    """A list price may change at midnight."""

    def price(usage: Usage, at: datetime) -> Decimal:
        return Decimal(usage.input_tokens) * (1 if at < START + timedelta(seconds=3) else 2)

    outcome = failed_twice((SOFT, None))
    chain = build_evolution_entry("a.jpg", outcome.attempts, succeeded=True, kind=None, price=price)

    assert [call.cost_usd for call in chain.attempts] == [1000.0, 1000.0, 2000.0]
