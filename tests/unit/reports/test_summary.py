"""Rules of reports/summary.py: what the user reads at the end, taken from the document."""

from dataclasses import replace
from pathlib import Path

import pytest

from errors import ErrorKind, ExitCode, FatalError, StopReason
from reports.run_report import OutputPaths, PlanCounts, Tally, build_last_line, build_summary
from tests.support.outcomes import deferred, failed, succeeded
from tests.support.reports import mixed_tally, plan_for, stats_of, tally_of

WHERE = OutputPaths(output_dir="out", metadata="out/metadata")
KIND = ErrorKind


def test_the_summary_tells_the_story() -> None:
    """Counts, failures by class with their remedies, calls, tokens, and where everything lies."""
    where = replace(WHERE, archive="out/archive.zip")
    text = build_summary(stats_of(mixed_tally(), plan_for(mixed_tally(), answered=20)), where, dry_run=False)

    assert text.splitlines()[:3] == [
        "29 images found in 1 min 30 s",
        "      3  answered",
        "      1  answered without a call: their bytes were answered before",
    ]
    for said in (
        "     20  answered by an earlier run",
        "      1  lost, could not be written: i.jpg",
        "      1  blocked: Google's safety filter withheld the answer.",
        "Skipped      10, each named with --verbose",
        "      9  hidden, its name begins with a dot",
        "      1  a link that leads back to where it stands",
        "Calls        12, 6 of them retries",
        "Tokens       4,480 in, 40 out",
        "Results      out/successful",
        "Reports      out/failed",
        "Metadata     out/metadata",
        "Archive      out/archive.zip",
    ):
        assert said in text
    assert text.endswith("out/archive.zip\n")


@pytest.mark.parametrize("kind", KIND)
def test_the_summary_fits_a_terminal(kind: ErrorKind) -> None:
    """79 columns, no colour, whatever failed."""
    tally = tally_of(*(failed(f"{number}.jpg", kind) for number in range(3)))
    for number in range(12):
        tally.skip(f"a_rather_long_reason_{number}", Path("x"))
    text = build_summary(stats_of(tally), WHERE, dry_run=True)

    assert max(map(len, text.splitlines())) <= 79
    assert text.replace("\n", "").isprintable()


def test_a_path_is_never_broken() -> None:
    """It is there to be copied, however long it is."""
    long = "/somewhere/" + "x" * 100
    text = build_summary(stats_of(tally_of(succeeded())), replace(WHERE, metadata=long), dry_run=False)

    assert long in text


def test_a_dry_run_says_so_first() -> None:
    """The numbers of a dry run cannot be taken for real ones."""
    text = build_summary(stats_of(tally_of(succeeded())), WHERE, dry_run=True)

    assert text.splitlines()[0].startswith("[DRY RUN] No call was made")
    assert "Calls        1, simulated" in text
    assert "Tokens" not in text


NOTHING_NEW = PlanCounts(found=3, already_answered=3, known_failures=0, not_selected=0, to_do=0)
LEFT_ALONE = PlanCounts(found=5, already_answered=2, known_failures=2, not_selected=1, to_do=0)

REFUSED = FatalError(StopReason.KEY_INVALID, "The key was\nrefused.")


@pytest.mark.parametrize(
    ("tally", "plan", "stop", "end", "code"),
    [
        (Tally(), None, None, "No image was found: check --input-dir.", 4),
        (Tally(), NOTHING_NEW, None, "Nothing new: 3 images, all answered before, no call made.", 0),
        (
            Tally(),
            LEFT_ALONE,
            None,
            "Nothing to ask: 2 images answered before, 2 failed before and left alone, 1 not selected.",
            0,
        ),
        (tally_of(succeeded()), None, None, "Done: 1 image answered.", 0),
        (
            tally_of(succeeded(), failed()),
            None,
            None,
            "1 image failed (1 invalid_request). Next: see the report of each image, and do what it says.",
            3,
        ),
        (tally_of(deferred()), None, None, "1 image deferred: The service was unavailable. Next: run", 75),
        (
            tally_of(failed()),
            None,
            REFUSED,
            "Stopped: The key was\\x0arefused. Next: check GEMINI_API_KEY",
            5,
        ),
    ],
    ids=["no-input", "nothing-new", "left-alone", "done", "failed", "deferred", "stopped"],
)
def test_the_last_line(
    *, tally: Tally, plan: PlanCounts | None, stop: FatalError | None, end: str, code: int
) -> None:
    """It says the reason, the next step and the exit code, on one line."""
    line = build_last_line(stats_of(tally, plan, stop))

    assert line.startswith(end)
    assert line.endswith(f" (exit code {code}: {ExitCode(code).meaning})")
    assert line.isprintable()
