"""Rules of reports/tally.py, reports/run_report.py and the documents, checked by their schemas."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from errors import ErrorKind, ExitCode, FatalError, StopReason
from models import Outcome, Usage
from reports.prompt_evolution import build_prompt_evolution
from reports.run_report import (
    ErrorGroup,
    Example,
    FailureEntry,
    PlanCounts,
    Tally,
    build_error_analysis,
    build_error_group,
)
from tests.support.outcomes import (
    START,
    archiver,
    deferred,
    failed,
    only_answer,
    run_info,
    stopped_attempt,
    succeeded,
)
from tests.support.paths import SCHEMAS
from tests.support.reports import load_checked, mixed_tally, plan_for, schema, stats_of, tally_of

KIND = ErrorKind


# The tally and the exit code


def test_the_tally_tells_what_happened() -> None:
    """Every outcome, call, retry, token and note is counted where it belongs."""
    tally = mixed_tally()

    assert (tally.succeeded, tally.reused, tally.answered, tally.finished) == (3, 1, 4, 9)
    assert tally.failed == {KIND.BLOCKED: 1, KIND.INVALID_REQUEST: 1}
    assert tally.deferred == {"rate_limited": 1, "not_tried": 1}
    assert tally.requests == 1 + 4 + 3 + 1 + 2 + 1
    assert tally.results == {
        "answered": 4, "server": 2, "timeout": 1, "blocked": 3, "rate_limited": 2,
    }  # fmt: skip
    assert tally.http_statuses == {503: 2}
    assert tally.retries == {KIND.SERVER: 2, KIND.TIMEOUT: 1, KIND.BLOCKED: 2, KIND.RATE_LIMITED: 1}
    assert tally.usage == Usage(input_tokens=4 * 1120, output_tokens=40)
    assert tally.upload_bytes == 12 * 700
    assert tally.notes == {"turned upright": 3}
    assert tally.unsaved == ["i.jpg"]
    assert tally.progress_counts() == {"done": 4, "failed": 2, "deferred": 2}


def test_a_call_that_ended_the_run_is_neither_answered_nor_a_failure() -> None:
    """It counts under the reason of the run's end."""
    outcome = deferred("a.jpg", KIND.SERVER)
    put_off = replace(outcome, attempts=(*outcome.attempts, stopped_attempt(StopReason.KEY_INVALID)))

    assert tally_of(put_off).results == {"server": 1, "key_invalid": 1}


@pytest.mark.parametrize(
    ("outcomes", "stop", "found", "code"),
    [
        ([], None, 0, ExitCode.NO_INPUT),
        ([], None, 5, ExitCode.DONE),
        ([succeeded()], None, 1, ExitCode.DONE),
        ([succeeded(), failed()], None, 2, ExitCode.SOME_FAILED),
        ([failed(), deferred()], None, 2, ExitCode.SOME_FAILED),
        ([succeeded(), deferred()], None, 2, ExitCode.TRY_LATER),
        ([failed(), deferred()], StopReason.KEY_INVALID, 2, ExitCode.KEY_REFUSED),
        ([failed()], StopReason.STORAGE, 2, ExitCode.UNEXPECTED),
        ([succeeded()], StopReason.INTERRUPTED, 2, ExitCode.INTERRUPTED),
        ([], StopReason.TERMINATED, 0, ExitCode.TERMINATED),
    ],
)
def test_the_exit_code(outcomes: list[Outcome], stop: StopReason | None, found: int, code: ExitCode) -> None:
    """A stop goes first, then nothing found, then failures, then deferred images."""
    assert tally_of(*outcomes).exit_code(stop=stop, found=found) is code


# The documents


def test_every_file_is_accounted_for() -> None:
    """Both sums hold, for a run in which everything happened and which was stopped as well."""
    tally = mixed_tally()
    went = stats_of(tally, plan_for(tally, not_started=4, answered=20, known=3)).accounting

    assert went.adds_up
    assert (went.found, went.deferred, went.not_started, went.files_seen) == (36, 6, 0, 46)
    parts = (
        went.already_answered, went.known_failures, went.not_selected, went.answered, went.reused,
        went.failed, went.deferred, went.lost, went.not_started,
    )  # fmt: skip
    assert went.found == sum(parts)
    assert went.files_seen == went.passed_over + went.found


@pytest.mark.parametrize(
    "plan",
    [
        PlanCounts(found=9, already_answered=1, known_failures=0, not_selected=0, to_do=9),
        PlanCounts(found=8, already_answered=0, known_failures=0, not_selected=0, to_do=8),
    ],
    ids=["parts-overlap", "more-outcomes-than-images"],
)
def test_an_account_that_does_not_add_up_says_so(plan: PlanCounts) -> None:
    """A bug in counting shows in the document, it is never smoothed over."""
    assert not stats_of(mixed_tally(), plan).accounting.adds_up


@given(st.lists(st.sampled_from([succeeded(), failed(), deferred(), failed("x", KIND.EMPTY)]), max_size=9))
def test_totals_are_the_sums_of_their_parts(outcomes: list[Outcome]) -> None:
    """Whatever the outcomes are, every total in the document is the sum of its parts."""
    stats = stats_of(tally_of(*outcomes))

    for counted in (stats.passed_over, stats.failed, stats.deferred, stats.requests.retries):
        assert counted.total == sum(counted.by.values())
    assert stats.requests.total == sum(stats.requests.by_result.values())
    assert (stats.failed.total, stats.deferred.total) == (stats.accounting.failed, stats.accounting.deferred)
    assert stats.accounting.adds_up
    assert stats.tokens.total == stats.tokens.input + stats.tokens.output


@pytest.mark.parametrize("stop", [None, FatalError(StopReason.DAILY_QUOTA, "The day's quota is spent.")])
@pytest.mark.parametrize("dry_run", [True, False])
def test_processing_stats_fits_its_schema(tmp_path: Path, *, stop: FatalError | None, dry_run: bool) -> None:
    """The document of a run in which everything happened is valid, stopped or not, dry or not."""
    stats = stats_of(mixed_tally(), stop=stop)
    document = load_checked(archiver(tmp_path, dry_run=dry_run).write_document("processing_stats", stats))

    assert document["dry_run"] is dry_run
    assert document["exit_code"] == (75 if stop else 3)
    assert (document["stopped"] or {}).get("reason") == (stop and "daily_quota")
    assert document["options"] == dict(run_info().options)
    assert document["passed_over"]["by"] == {"hidden": 9, "link_loop": 1}
    assert [len(paths) for paths in document["passed_over"]["examples"].values()] == [5, 1]
    assert document["lost"] == ["i.jpg"]
    assert document["seconds"] == 90.0


def group(kind: ErrorKind, count: int = 1) -> ErrorGroup:
    """Return a group of more images than are named."""
    examples = (Example(key=f"{number}.jpg", detail=f"Detail {number}.") for number in range(count))
    return build_error_group(
        kind, count=count, examples=examples, command="python main.py --prompt x", options={}
    )


def test_error_analysis_fits_its_schema(tmp_path: Path) -> None:
    """All classes: each has a cause, a remedy, at most five examples; every failure has its line."""
    groups = [group(kind, count) for count, kind in enumerate(KIND, start=1)]
    failures = (
        FailureEntry(
            key="a.jpg",
            kind=kind,
            detail="x",
            attempts=2,
            revision=1,
            log="failed/a.jpg_error.log",
            failed_at=START,
        )
        for kind in KIND
    )
    head = build_error_analysis(groups, deferred={"rate_limited": 2, "not_tried": 3})
    document = load_checked(archiver(tmp_path).write_stream("error_analysis", head, "failures", failures))

    assert document["failed"] == sum(range(1, len(KIND) + 1))
    assert [one["count"] for one in document["groups"]] == list(range(len(KIND), 0, -1))
    assert max(len(one["examples"]) for one in document["groups"]) == 5
    assert list(document["deferred"]) == ["not_tried", "rate_limited"]
    assert len(document["failures"]) == len(KIND)


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        (KIND.SERVER, "python main.py --prompt x"),
        (KIND.TIMEOUT, "python main.py --prompt x --timeout 600"),
        (KIND.BLOCKED, "python main.py --prompt x --only blocked --enable-prompt-optimization"),
        (KIND.PROHIBITED, None),
        (KIND.INVALID_REQUEST, None),
    ],
)
def test_the_ready_command_of_a_group(kind: ErrorKind, command: str | None) -> None:
    """It is the user's own with what the remedy needs; there is none where repeating is of no use."""
    assert group(kind).command == command


def test_documents_of_a_run_without_any_image_are_valid(tmp_path: Path) -> None:
    """Nothing found, nothing failed, nothing reworded: the three documents are there all the same."""
    store, tally = archiver(tmp_path), Tally()
    assert load_checked(store.write_document("processing_stats", stats_of(tally)))["exit_code"] == 4
    load_checked(store.write_stream("error_analysis", build_error_analysis([], deferred={}), "failures", ()))
    load_checked(
        store.write_stream("prompt_evolution", build_prompt_evolution(run_info(), tally), "images", ())
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("processing_stats", ("exit_code",)),
        ("error_analysis", ("groups",)),
        ("prompt_evolution", ("images",)),
    ],
)
def test_the_schemas_can_fail(tmp_path: Path, name: str, path: tuple[str, ...]) -> None:
    """A member too few, or one too many, is found."""
    store = archiver(tmp_path)
    store.write_document("processing_stats", stats_of(mixed_tally()))
    store.write_stream("error_analysis", build_error_analysis([], deferred={}), "failures", ())
    store.write_stream("prompt_evolution", build_prompt_evolution(run_info(), mixed_tally()), "images", ())
    document = json.loads((tmp_path / f"metadata/{name}.json").read_bytes())
    validator = Draft202012Validator(schema(name))

    assert validator.is_valid(document)
    assert not validator.is_valid({**document, "more": 1})
    assert not validator.is_valid({key: value for key, value in document.items() if key not in path})


def test_the_page_about_the_output_names_every_member() -> None:
    """``docs/output.md`` speaks of each top-level member of each document."""
    page = (SCHEMAS.parent / "output.md").read_text(encoding="utf-8")
    members = {
        member
        for name in ("processing_stats", "error_analysis", "prompt_evolution", "results")
        for member in schema(name)["properties"]
    }

    assert {member for member in members if f"`{member}`" not in page} == set()


def test_a_stored_answer_is_what_the_ledger_says(tmp_path: Path) -> None:
    """The tokens of an answer's own call go to the ledger, those of its failed calls to the tally."""
    store = archiver(tmp_path)
    outcome = succeeded("a.jpg", kinds=(KIND.SERVER,))
    store.store(outcome)

    assert only_answer(store).usage == outcome.generation.usage
    assert only_answer(store).answered_at == outcome.attempts[-1].started_at + timedelta(seconds=1.5)
