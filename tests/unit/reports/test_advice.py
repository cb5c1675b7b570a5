"""Rules of reports/advice.py: what is to be done now, by what was done already."""

from dataclasses import replace

import pytest

from errors import ErrorKind
from prompts.rules import CURABLE
from reports.advice import ADVICE, advice_for
from reports.error_log import error_log
from reports.run_report import error_group
from reports.summary import Where, summary
from tests.support.outcomes import failed, run_info
from tests.support.reports import plan_for, stats_of, tallied

FLAG = "--enable-prompt-optimization"
REPAIRING = replace(run_info(), options={"enable_prompt_optimization": True})


@pytest.mark.parametrize("kind", ErrorKind)
def test_nobody_is_told_to_try_what_was_tried(kind: ErrorKind) -> None:
    """With repaired prompts the advice for a curable class is what is left: words by hand."""
    advice = advice_for(kind, is_repaired=True)
    again = error_group(kind, count=1, examples=[], command="main.py", is_repaired=True).command
    outcome = failed("a.jpg", kind)
    said = (
        error_log(outcome, REPAIRING),
        summary(
            replace(stats_of(tallied(outcome), plan_for(tallied(outcome))), options=REPAIRING.options),
            Where(output_dir="out", metadata="out/metadata"),
            dry_run=False,
        ),
    )

    assert FLAG not in (again or "")
    for text in (advice.remedy, *said):
        assert f"let {FLAG}" not in text
        assert f"with {FLAG}" not in text
    assert ("did not help" in advice.remedy) == (kind in CURABLE)


@pytest.mark.parametrize("kind", ErrorKind)
def test_without_repaired_prompts_they_are_the_advice_for_curable_classes(kind: ErrorKind) -> None:
    """And for no other class."""
    assert advice_for(kind, is_repaired=False) == ADVICE[kind]
    assert (FLAG in ADVICE[kind].remedy) == (kind in CURABLE)
