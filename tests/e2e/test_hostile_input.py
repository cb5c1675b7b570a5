"""Rules of the real program over a folder of files that break such programs."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from tests.emulator import Emulator
from tests.support.cli import Finished, document, run_cli
from tests.support.hostile_images import build

pytestmark = pytest.mark.e2e


def play(source: Path, output: Path) -> tuple[Finished, Emulator]:
    """Send the folder to an emulator."""

    async def scenario() -> tuple[Finished, Emulator]:
        async with Emulator() as emulator:
            done = await run_cli(
                *("--input-dir", source, "--prompt", "Describe it", "--output-dir", output),
                *("--api-base-url", emulator.base_url, "--archive-format", "tar"),
            )
            return done, emulator

    return asyncio.run(scenario())


def test_every_file_is_accounted_for(tmp_path: Path) -> None:
    """No crash; good images are answered, bad ones rejected with their message, the rest counted."""
    entries = build(tmp_path / "in")
    output = tmp_path / "in" / "out"  # inside the input: never read as input

    done, emulator = play(tmp_path / "in", output)

    assert done.code == 3, done.stderr
    assert "Traceback" not in done.stderr
    stats, failures = document(output, "processing_stats.json"), document(output, "error_analysis.json")
    fates = {fate: [one for one in entries if one.fate == fate] for fate in ("accepted", "refused")}
    accounting = stats["accounting"]
    assert accounting["adds_up"]
    assert accounting["answered"] + accounting["reused"] == len(fates["accepted"])
    assert accounting["failed"] == len(fates["refused"])
    sentences = {entry["key"]: entry["detail"] for entry in failures["failures"]}
    assert sentences.keys() == {one.key for one in fates["refused"]}
    for one in fates["refused"]:
        assert one.because in sentences[one.key]
        assert one.because in (output / "failed" / f"{one.key}_error.log").read_text(encoding="utf-8")
    passed_over = stats["passed_over"]["by"]
    for one in entries:
        assert one.fate != "passed over" or passed_over[one.because] >= 1
    assert {row.mime_type for row in emulator.calls} == {one.sent_as for one in fates["accepted"]}


def test_every_answer_stands_under_its_own_name(tmp_path: Path) -> None:
    """Each accepted image has its own result, about bytes that were sent; the ledger names each once."""
    entries = build(tmp_path / "in")

    _, emulator = play(tmp_path / "in", tmp_path / "out")

    lines = (tmp_path / "out" / "metadata" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {answer["key"]: answer for answer in map(json.loads, lines)}
    accepted = {one.key for one in entries if one.fate == "accepted"}
    assert len(lines) == len(answers)
    assert answers.keys() == accepted
    paths = [artefact["path"] for answer in answers.values() for artefact in answer["artefacts"]]
    assert len(set(paths)) == len(accepted)
    sent = {row.image_sha256 for row in emulator.calls}
    assert len(sent) == len(emulator.calls)  # the same bytes are never sent twice
    for answer in answers.values():
        content = (tmp_path / "out" / answer["artefacts"][0]["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == answer["artefacts"][0]["sha256"]
        assert any(sha256 in content.decode() for sha256 in sent)
