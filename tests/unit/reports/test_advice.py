"""Rules of reports/advice.py: what is to be done now, by what was done already."""

from dataclasses import replace

import pytest

from errors import ErrorKind
from prompts.rules import CURABLE_KINDS
from reports.advice import ADVICE, advice_for
from reports.error_log import build_error_log
from reports.run_report import build_error_group
from reports.summary import OutputPaths, build_summary
from tests.support.outcomes import failed, run_info
from tests.support.reports import plan_for, stats_of, tally_of

FLAG = "--enable-prompt-optimization"
REPAIRING = replace(run_info(), options={"enable_prompt_optimization": True})


@pytest.mark.parametrize("kind", ErrorKind)
def test_nobody_is_told_to_try_what_was_tried(kind: ErrorKind) -> None:
    """With repaired prompts the advice for a curable class is what is left: words by hand."""
    advice = advice_for(kind, has_prompt_optimization=True)
    again = build_error_group(
        kind, count=1, examples=[], command="main.py", has_prompt_optimization=True
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
    assert advice_for(kind, has_prompt_optimization=False) == ADVICE[kind]
    assert (FLAG in ADVICE[kind].remedy) == (kind in CURABLE_KINDS)
