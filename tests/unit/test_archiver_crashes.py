"""Rules of the archiver and the ledger when a disk is full, a line is torn, or a run was killed."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from errors import ErrorKind, StorageError
from storage.output.layout import Place
from tests.support.outcomes import (
    SOFT,
    archiver,
    failed,
    files,
    full_disk,
    names,
    only_answer,
    picture,
    succeeded,
)
from tests.support.paths import SCHEMAS


def test_a_ledger_line_comes_back_as_it_was_and_fits_its_schema(tmp_path: Path) -> None:
    """With any characters in names and prompts, a line is one line and loses nothing."""
    nasty = replace(SOFT, text="\n\u2028\x85\udcff🙂\0")
    store = archiver(tmp_path)
    stored = store.store(succeeded("é\u2028.jpg", "text", picture(), prompt=nasty))

    answer = only_answer(store)
    assert (answer.key, answer.prompt, answer.artefacts) == ("é\u2028.jpg", nasty, stored)
    assert (answer.mtime_ns, answer.fingerprint) == (1_700_000_000_123_456_789, "f" * 64)
    lines = (tmp_path / "metadata/results.jsonl").read_bytes().splitlines()
    schema = json.loads((SCHEMAS / "results.schema.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(lines[0]))
    assert len(lines) == 1


def test_torn_lines_are_passed_over(tmp_path: Path) -> None:
    """A ledger cut off at any byte gives the whole lines before the cut, and takes new ones after it."""
    (tmp_path / "whole").mkdir()
    whole = archiver(tmp_path / "whole")
    for key in ("a.jpg", "b.jpg"):
        whole.store(succeeded(key))
    data = (tmp_path / "whole/metadata/results.jsonl").read_bytes()
    first = data.index(b"\n") + 1

    for cut in [0, 1, first - 1, first, first + 1, first + 100, len(data) - 2, len(data) - 1, len(data)]:
        root = tmp_path / str(cut)
        (root / "metadata").mkdir(parents=True)
        (root / "metadata/results.jsonl").write_bytes(data[:cut])
        complete = [key for key, end in [("a.jpg", first - 1), ("b.jpg", len(data) - 1)] if cut >= end]
        assert [answer.key for answer in archiver(root).proven_answers] == complete

        archiver(root).store(succeeded("c.jpg"))
        assert [answer.key for answer in archiver(root).proven_answers] == [*complete, "c.jpg"]


def _line(**changes: Any) -> bytes:
    record = {
        "schema_version": 1, "run_id": "r", "key": "a.jpg", "size_bytes": 1, "mtime_ns": 1,
        "sha256": "0" * 64, "fingerprint": "f",
        "artefacts": [{"path": "p", "size_bytes": 1, "sha256": "0" * 64}],
        "prompt": {"text": "t", "revision": 0, "edits": []}, "usage": {"input_tokens": 1, "output_tokens": 1},
        "model_version": "m", "response_id": "r", "answered_at": "2026-11-23T22:00:00.000Z", "dry_run": False,
    }  # fmt: skip
    return json.dumps(record | changes).encode() + b"\n"


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff\xfe\n",
        b"[]\n",
        b"null\n",
        b"{}\n",
        b"[" * 100_000 + b"\n",
        _line(schema_version=2),
        _line(key=None),
        _line(size_bytes="1"),
        _line(size_bytes=True),
        _line(artefacts=[1]),
        _line(prompt=[]),
        _line(answered_at="yesterday"),
        _line(answered_at="2026-11-23T22:00:00"),
    ],
    ids=[
        "bytes",
        "list",
        "null",
        "empty",
        "deep",
        "version",
        "key",
        "text",
        "bool",
        "artefact",
        "prompt",
        "time",
        "zone",
    ],
)
def test_damaged_lines_are_passed_over(tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged line hides no other, and gives a warning."""
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/results.jsonl").write_bytes(_line() + bad + b"\n" + _line(key="b.jpg"))

    assert [answer.key for answer in archiver(tmp_path).proven_answers] == ["a.jpg", "b.jpg"]
    assert "1 damaged or unfinished lines" in caplog.text


def test_threads_share_one_ledger(tmp_path: Path) -> None:
    """Answers stored at the same time each have their whole line and file."""
    store = archiver(tmp_path)
    keys = [f"{number % 3}/{number}.jpg" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.store(succeeded(key, f"answer to {key}")), keys))

    answers = list(store.proven_answers)
    assert sorted(answer.key for answer in answers) == sorted(keys)
    assert all(store.has_expected_hash(artefact) for answer in answers for artefact in answer.artefacts)


OTHER = Place.portable("t/a.jpg").text.removesuffix(".txt")
"""Where the answer for ``t/a.jpg`` stands, but for its suffix, when its own name is refused."""


def _block(root: Path, path: str) -> Path:
    """Let a folder stand in the way of a file, or a file in the way of a folder."""
    if path.endswith("/t"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_bytes(b"a file")
    else:
        (root / path).mkdir(parents=True)
    return root / path


IN_THE_WAY = ["successful/t", "successful/t/a.jpg_result.png", "successful/t/a.jpg_result.txt"]


@pytest.mark.parametrize("path", IN_THE_WAY)
def test_an_answer_that_cannot_have_its_name_has_another(tmp_path: Path, path: str) -> None:
    """What stands in the way of one answer loses nothing: it stands elsewhere, whole, and is proven."""
    _block(tmp_path, path)
    store = archiver(tmp_path)

    stored = store.store(succeeded("t/a.jpg", "text", picture()))

    assert [artefact.path for artefact in stored] == [f"{OTHER}.png", f"{OTHER}.txt"]
    assert list(store.proven_answers)[-1].artefacts == stored
    assert all(map(store.has_expected_hash, stored))
    assert names(tmp_path, "successful") == {f"{OTHER}.png", f"{OTHER}.txt"} | ({path} & {"successful/t"})

    again = archiver(tmp_path, 2)
    assert again.store(succeeded("t/a.jpg", "new", picture()), replaced=stored)[1].path == f"{OTHER}.txt"
    assert all(map(again.has_expected_hash, again.find_in_history(stored)))


@pytest.mark.parametrize("path", ["failed/t", "failed/t/a.jpg_error.log"])
def test_a_report_that_cannot_have_its_name_has_another(tmp_path: Path, path: str) -> None:
    """A failure is reported under the other name, and the report goes when the image is answered."""
    _block(tmp_path, path)
    store = archiver(tmp_path)

    (report,) = store.store(failed("t/a.jpg", ErrorKind.TIMEOUT))

    assert report.path == Place.portable("t/a.jpg").error_log
    assert store.has_expected_hash(report)
    store.store(succeeded("t/a.jpg", "text"))
    assert not (tmp_path / report.path).exists()


@pytest.mark.parametrize(("path", "suffix"), list(zip(IN_THE_WAY, ["png", "png", "txt"], strict=True)))
def test_a_write_that_fails_at_any_step_proves_nothing(tmp_path: Path, path: str, suffix: str) -> None:
    """The error names the path and the image; no half file exists; the ledger's lines prove no answer."""
    _block(tmp_path, path)
    blocked = _block(tmp_path, f"{OTHER}.{suffix}")
    store = archiver(tmp_path)
    with pytest.raises(StorageError) as caught:
        store.store(succeeded("t/a.jpg", "text", picture()))

    assert str(blocked) in str(caught.value)
    assert "the answer for t/a.jpg was lost" in str(caught.value)
    assert names(tmp_path) == {path} & {"successful/t"}
    answers = list(store.proven_answers)
    assert answers
    assert not any(all(map(store.has_expected_hash, answer.artefacts)) for answer in answers)


def test_a_ledger_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Without its line no answer is written."""
    blocked = _block(tmp_path, "metadata/results.jsonl")
    with pytest.raises(StorageError, match=re.escape(str(blocked))):
        archiver(tmp_path).store(succeeded("t/a.jpg", "text", picture()))

    assert names(tmp_path) == set()


def test_a_full_disk_is_named_and_leaves_no_half_file(tmp_path: Path) -> None:
    """If the disk is full, the error says so, an earlier answer stays, and a later try succeeds."""
    store = archiver(tmp_path)
    store.store(succeeded("a.jpg", "old"))
    with full_disk(at_bytes=2000), pytest.raises(StorageError, match="File too large") as caught:
        store.store(succeeded("b.jpg", "x" * 3000))
    assert str(tmp_path / "successful/b.jpg_result.txt") in str(caught.value)
    assert names(tmp_path) == {"successful/a.jpg_result.txt"}

    with full_disk(at_bytes=1000), pytest.raises(StorageError, match=r"results\.jsonl: File too large"):
        store.store(succeeded("a.jpg", "new"))
    assert (tmp_path / "successful/a.jpg_result.txt").read_bytes() == b"old\n"

    store.store(succeeded("b.jpg", "x" * 3000))
    proven = [
        answer.key for answer in store.proven_answers if all(map(store.has_expected_hash, answer.artefacts))
    ]
    assert proven == ["a.jpg", "b.jpg", "b.jpg"]


def test_what_a_crash_left_is_kept_and_not_mixed_in(tmp_path: Path) -> None:
    """A picture of an unfinished answer does not stay beside another answer's text."""
    (tmp_path / "successful").mkdir()
    (tmp_path / "successful/a.jpg_result.png").write_bytes(picture(shade=9))
    archiver(tmp_path, 2).store(succeeded("a.jpg", "text"))

    assert names(tmp_path, "successful") == {"successful/a.jpg_result.txt"}
    assert list(files(tmp_path, "metadata/history").values()) == [picture(shade=9)]


def test_sweep_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    """Only files with names of our own unfinished files are removed, in every folder that we write to."""
    ours = [".atomic-0123456789abcdef.tmp", "successful/t/.atomic-0123456789abcdef.tmp"]
    ours += ["failed/.atomic-ffffffffffffffff.tmp", "metadata/dry-run/.atomic-0123456789abcdef.tmp"]
    others = [
        "mine/.atomic-0123456789abcdef.tmp",
        "successful/x.tmp",
        "successful/.atomic-1.tmp",
        "notes.txt",
    ]
    for name in [*ours, *others]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"half")

    assert archiver(tmp_path).remove_unfinished() == len(ours)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(others)


def test_a_tree_that_cannot_be_written_is_noticed_first(tmp_path: Path) -> None:
    """The check says what is wrong and where, before anything is paid for; else it leaves only folders."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="nothing was asked yet"):
        archiver(tmp_path / "file").check_writable()

    archiver(tmp_path / "out").check_writable()
    assert {path.name for path in (tmp_path / "out").rglob("*")} == {"successful", "failed", "metadata"}
