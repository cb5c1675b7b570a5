"""Rules that recorded replies hold: ``shared/recorded/replay.py`` judges the real command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.shared_folder import copy_shared

pytestmark = pytest.mark.e2e

TIMEOUT_S = 900
QUICK = "^fb-(googleai-basic|function-call-mixed|image-rejected$)|^is-(blob|safety)"
"""Cases of a few seconds, which every ``make test`` runs; all of them are for ``make field-test``."""
KNOWN = {
    "fb-sse-answer": "a stream of events in place of one reply is read: the recording expects a failure",
    "fb-array-of-chunks": "a list of chunks is read as one answer: the recording expects a failure",
    "is-400-unable-image": "a refusal that asks for another try gets one: the recording expects one call",
    "is-openai-shape-400": "a refusal that asks for another try gets one: the recording expects one call",
    **dict.fromkeys(
        (
            "fb-function-call-mixed",
            "fb-vertexai-constraint-decoding-json",
            "fb-vertexai-missing-safety-ratings",
            "fb-vertexai-partial-usage-metadata",
            "fb-vertexai-quote-reply",
            "fb-vertexai-unknown-enum-safety-ratings",
            "(run) batch-text",
            "(run) batch-image",
        ),
        "tokens that a reply does not tell are counted by their lower bound: the recording expects 0",
    ),
}
"""Cases whose expectation is older than what the program promises, each with the reason."""


def _replay(tmp_path: Path, only: str) -> list[dict[str, str]]:
    folder, found = copy_shared("recorded", tmp_path), tmp_path / "found.json"
    command = [sys.executable, str(folder / "replay.py"), "--program", str(ROOT), "--python", sys.executable]
    finished = subprocess.run(
        [*command, "--only", only, "--work", str(tmp_path / "work"), "--jobs", "2", "--json", str(found)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=tmp_path,
    )
    assert found.is_file(), finished.stdout[-2000:] + finished.stderr[-2000:]
    rows: list[dict[str, str]] = json.loads(found.read_text(encoding="utf-8"))
    return rows


@pytest.mark.parametrize(
    "only", [pytest.param(QUICK, id="quick"), pytest.param("", id="all", marks=pytest.mark.field)]
)
def test_recorded_replies_are_read_as_experts_expect(tmp_path: Path, only: str) -> None:
    """Class, files, calls, tokens and words of each are right, except where the expectation is too old."""
    rows = _replay(tmp_path, only)

    wrong = {row["id"]: row["why"] for row in rows if row["verdict"] != "ok" and row["id"] not in KNOWN}
    assert rows
    assert wrong == {}
