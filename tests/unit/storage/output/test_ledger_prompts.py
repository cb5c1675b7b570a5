"""Rules of long prompts in the ledger: a run writes each once, and lines of every version are read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from models import Artefact, Prompt, StoredAnswer, Usage
from storage.output.ledger import Ledger
from tests.support.fakes import START
from tests.support.reports import schema

MEGABYTE = "Describe it. " * 80_000


def answer(key: str, prompt: str) -> StoredAnswer:
    """Return the record of an answer to a prompt."""
    return StoredAnswer(
        key=key,
        size_bytes=1,
        mtime_ns=1,
        sha256="0" * 64,
        fingerprint="today",
        artefacts=(Artefact(path="successful/a_result.txt", size_bytes=1, sha256="0" * 64),),
        prompt=Prompt(text=prompt),
        usage=Usage(input_tokens=1, output_tokens=2, at_least=key == "1.jpg"),
        model_version="",
        response_id="",
        answered_at=START,
    )


def test_a_long_prompt_is_written_once(tmp_path: Path) -> None:
    """Ten images and a prompt of a megabyte are one megabyte; each line fits the schema."""
    path = tmp_path / "results.jsonl"
    answers = [answer(f"{number}.jpg", MEGABYTE) for number in range(10)]
    ledger = Ledger(path, run_id="first")
    ledger.append(*answers[:4])
    ledger.append(*answers[4:])

    assert path.stat().st_size < 1.1 * len(MEGABYTE)
    assert list(Ledger(path, run_id="later")) == answers
    for line in path.read_text().splitlines():
        Draft202012Validator(schema("results")).validate(json.loads(line))


def test_every_run_writes_its_prompts(tmp_path: Path) -> None:
    """So a ledger is whole from the first line of any run, and two prompts of one run do not mix."""
    path = tmp_path / "results.jsonl"
    answers = [answer(f"{number}.jpg", f"{number % 2} {MEGABYTE}") for number in range(6)]
    for run_id in ("first", "second"):
        Ledger(path, run_id=run_id).append(*answers)

    assert path.read_text().count('"text":') == 4
    assert list(Ledger(path, run_id="later")) == answers * 2


@pytest.mark.parametrize("lost", ["removed", "torn"])
def test_an_answer_counts_without_its_prompt(tmp_path: Path, lost: str) -> None:
    """Where the line with the text is damaged, the others prove their answers all the same."""
    path = tmp_path / "results.jsonl"
    Ledger(path, run_id="first").append(*(answer(f"{number}.jpg", MEGABYTE) for number in range(3)))
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join(([first[:500] + "\n"] if lost == "torn" else []) + rest))

    found = list(Ledger(path, run_id="later"))

    assert [one.key for one in found] == ["1.jpg", "2.jpg"]
    assert all(one.prompt.text.startswith("(a prompt with the SHA-256 ") for one in found)


def test_a_prompt_whose_line_could_not_be_written_is_written_again(tmp_path: Path) -> None:
    """A full disk leaves half a line; the next answer carries the text."""
    folder = tmp_path / "out"
    ledger = Ledger(folder / "results.jsonl", run_id="first", root=folder)
    with pytest.raises(OSError):  # noqa: PT011 - the folder of the run is gone
        ledger.append(answer("0.jpg", MEGABYTE))
    folder.mkdir()
    ledger.append(answer("1.jpg", MEGABYTE))

    assert list(ledger) == [answer("1.jpg", MEGABYTE)]


def test_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """Each of them has its whole prompt, and no hash of it."""
    path = tmp_path / "results.jsonl"
    short = replace(answer("0.jpg", "Describe it"), usage=Usage(input_tokens=1, output_tokens=2))
    Ledger(path, run_id="first").append(short)
    line = json.loads(path.read_text())
    assert "text_sha256" not in line["prompt"]
    line["prompt"]["text"] = MEGABYTE
    path.write_text(json.dumps(line) + "\n")

    assert [one.prompt.text for one in Ledger(path, run_id="later")] == [MEGABYTE]
