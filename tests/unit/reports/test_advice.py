"""Rules of reports/advice.py: what is to be done now, by what was done already."""

from dataclasses import replace

import pytest

from errors import WORTH_RETRYING_LATER, ErrorKind
from errors import ErrorKind as K
from prompts.rules import CURABLE_KINDS
from reports.advice import Options, advice_for, describe_next
from reports.error_log import build_error_log
from reports.run_report import PlanCounts, build_error_group
from reports.summary import OutputPaths, build_reminder, build_summary
from tests.support.outcomes import failed, run_info
from tests.support.reports import plan_for, stats_of, tally_of

FLAG = "--enable-prompt-optimization"
REPAIRING = replace(run_info(), options={"enable_prompt_optimization": True})


@pytest.mark.parametrize("kind", ErrorKind)
def test_nobody_is_told_to_try_what_was_tried(kind: ErrorKind) -> None:
    """With repaired prompts the advice for a curable class is what is left: words by hand."""
    advice = advice_for(kind, options=REPAIRING.options)
    again = build_error_group(
        kind, count=1, examples=[], command="main.py", options=REPAIRING.options
    ).command
    outcome = failed("a.jpg", kind)
    said = (
        build_error_log(outcome, REPAIRING),
        build_summary(
            replace(stats_of(tally_of(outcome), plan_for(tally_of(outcome))), options=REPAIRING.options),
            OutputPaths(output_dir="out", metadata="out/metadata"),
            dry_run=False,
        ),
    )

    assert FLAG not in (again or "")
    for text in (advice.remedy, *said):
        assert f"let {FLAG}" not in text
        assert f"with {FLAG}" not in text
    assert ("did not help" in advice.remedy) == (kind in CURABLE_KINDS)


@pytest.mark.parametrize("kind", ErrorKind)
def test_without_repaired_prompts_they_are_the_advice_for_curable_classes(kind: ErrorKind) -> None:
    """And for no other class."""
    assert (FLAG in advice_for(kind, options={}).remedy) == (kind in CURABLE_KINDS)


@pytest.mark.parametrize("options", [{}, REPAIRING.options], ids=["plain", "repairing"])
@pytest.mark.parametrize("kind", ErrorKind)
def test_the_sentence_and_the_command_are_one_remedy(kind: ErrorKind, options: Options) -> None:
    """The sentence names each flag of the ready command, which selects what the next run leaves alone."""
    advice = advice_for(kind, options=options)
    command = build_error_group(kind, count=1, examples=[], command="main.py", options=options).command

    assert all(flag in advice.remedy for flag in advice.flags)
    if command is None:
        assert kind in {ErrorKind.PROHIBITED, ErrorKind.INVALID_REQUEST}
    else:
        assert (f"--only {kind}" in command) == (kind not in WORTH_RETRYING_LATER)
    for sentence in (advice.remedy, advice.by_hand):
        assert "un the same command again" not in sentence or kind in WORTH_RETRYING_LATER


@pytest.mark.parametrize(
    ("timeout_s", "flag"),
    [
        (None, "--timeout 600"),
        (180.0, "--timeout 600"),
        (900.0, "--timeout 1800"),
        (2_400.0, "--timeout 3600"),
    ],
)
def test_a_longer_timeout_is_longer(timeout_s: float | None, flag: str) -> None:
    """Twice the time that the run had, and at least ten minutes."""
    assert advice_for(ErrorKind.TIMEOUT, options={"timeout_s": timeout_s}).flags == (flag,)


def test_the_longest_timeout_is_not_exceeded() -> None:
    """Where the program allows no more time, the remedy is another one."""
    advice = advice_for(ErrorKind.TIMEOUT, options={"timeout_s": 3_600.0})

    assert advice.flags == ()
    assert "--timeout" not in advice.remedy
    assert "--max-concurrent" in advice.remedy


FORCED: Options = {"force": True}


@pytest.mark.parametrize("kind", ErrorKind)
def test_after_force_the_command_is_about_the_failed_images_alone(kind: ErrorKind) -> None:
    """Typed again, --force alone would ask about all images; without it their earlier answers count."""
    advice = advice_for(kind, options=FORCED)
    command = build_error_group(kind, count=1, examples=[], command="main.py", options=FORCED).command

    if command is not None:
        assert command.startswith(f"main.py --only {kind} --force")
        assert command.count("--force") == command.count("--only") == 1
        assert f"--only {kind}" in advice.remedy


LATER = "run the same command again"
REPORTS = "see the report of each image in out/failed"


@pytest.mark.parametrize(
    ("kinds", "options", "expected"),
    [
        ([K.SERVER, K.FILE_UNAVAILABLE], {}, LATER),
        ([K.TIMEOUT, K.NETWORK], {}, f"{LATER} with --timeout 600"),
        ([K.EMPTY], {}, f"{LATER} with --only empty {FLAG}"),
        ([K.EMPTY], REPAIRING.options, f"{LATER} with --only empty"),
        ([K.EMPTY, K.SERVER], {}, f"{LATER} with --only empty,server {FLAG}"),
        ([K.REFUSED, K.TIMEOUT], {}, f"{LATER} with --only refused,timeout {FLAG} --timeout 600"),
        ([K.SERVER, K.NETWORK], FORCED, f"{LATER} with --only server,network"),
        ([K.EMPTY, K.TIMEOUT], FORCED, f"{LATER} with --only empty,timeout {FLAG} --timeout 600"),
        ([K.PROHIBITED], {}, f"{REPORTS}, and leave it out"),
        ([K.INVALID_REQUEST, K.BLOCKED], {}, f"{LATER} with --only blocked {FLAG}; for the others {REPORTS}"),
    ],
)
def test_the_next_step_of_several_classes(kinds: list[ErrorKind], options: Options, expected: str) -> None:
    """One command does what all the remedies say; where none can help, the reports do."""
    assert describe_next(kinds, options=options, reports="out/failed") == expected


@pytest.mark.parametrize("kind", ErrorKind)
def test_failures_of_earlier_runs_are_told_in_one_line(kind: ErrorKind) -> None:
    """A run that leaves them alone says how many there are, of which class, and what to do."""
    plan = PlanCounts(
        found=5, already_answered=3, known_failures=2, not_selected=0, to_do=0, known_failures_by={kind: 2}
    )
    line = build_reminder(replace(stats_of(tally_of(), plan), options={"output_dir": "out"}))

    assert line.startswith(f"2 images failed in earlier runs and were left alone (2 {kind}). Next: ")
    assert line.endswith(f"Next: {describe_next([kind], options={}, reports='out/failed')}.")
    assert line.isprintable()


def test_nothing_is_told_where_nothing_failed() -> None:
    """A quiet run stays silent."""
    assert build_reminder(stats_of(tally_of())) == ""
