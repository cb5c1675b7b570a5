"""Rules of archiver.py for dry runs, documents and the place of the archive."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from errors import ErrorKind, StorageError
from storage.output.answer_text import encode_utf8
from storage.output.tree import has_real_run
from tests.support.outcomes import (
    archiver,
    failed,
    files,
    full_disk,
    job,
    names,
    only_answer,
    picture,
    run_info,
    succeeded,
)

MARK = "[DRY RUN]"


# Dry runs


def test_every_file_of_a_dry_run_is_marked(tmp_path: Path) -> None:
    """Text, report and picture say it themselves; the picture still opens; the real ledger is empty."""
    store = archiver(tmp_path, dry_run=True)
    stored = store.store(succeeded("a.jpg", "simulated", picture()))
    store.store(failed("b.jpg", ErrorKind.INVALID_REQUEST))

    for name, data in files(tmp_path).items():
        assert MARK.encode() in (data if name.endswith(".png") else data.splitlines()[0])
    with Image.open(io.BytesIO((tmp_path / "successful/a.jpg_result.png").read_bytes())) as shown:
        shown.load()
    assert all(map(store.has_expected_hash, stored))
    assert list(store.read_ledger()) == []
    assert not (tmp_path / "metadata/results.jsonl").exists()
    (line,) = (tmp_path / "metadata/dry-run/results.jsonl").read_bytes().splitlines()
    assert json.loads(line)["dry_run"] is True


@pytest.mark.parametrize("real_fails", [True, False], ids=["real-failure", "real-answer"])
@pytest.mark.parametrize("dry_fails", [True, False], ids=["dry-failure", "dry-answer"])
def test_a_dry_run_changes_nothing_real(tmp_path: Path, *, real_fails: bool, dry_fails: bool) -> None:
    """If a real file exists, a dry run changes no file of the image, with any list of files to replace."""
    answer, failure = succeeded("a.jpg", "text", picture()), failed("a.jpg", ErrorKind.TIMEOUT)
    real = archiver(tmp_path, 1).store(failure if real_fails else answer)
    before = files(tmp_path)

    assert archiver(tmp_path, 2, dry_run=True).store(failure if dry_fails else answer, replaced=real) == ()
    assert files(tmp_path) == before


def test_a_dry_run_moves_nothing_real_it_is_told_to_replace(tmp_path: Path) -> None:
    """Also if the list of files to replace is another image's."""
    real = archiver(tmp_path, 1).store(succeeded("a.jpg"))
    archiver(tmp_path, 2, dry_run=True).store(succeeded("b.jpg"), replaced=real)

    assert all(map(archiver(tmp_path, 3).has_expected_hash, real))


def test_a_dry_run_leaves_a_stray_real_picture(tmp_path: Path) -> None:
    """Also a file of no recorded answer may have been paid for."""
    (tmp_path / "successful").mkdir()
    (tmp_path / "successful/a.jpg_result.png").write_bytes(picture())
    archiver(tmp_path, dry_run=True).store(succeeded("a.jpg", "text", picture(shade=3)))

    assert files(tmp_path) == {"successful/a.jpg_result.png": picture()}


@pytest.mark.parametrize("is_known", [True, False], ids=["journal-knows", "journal-lost"])
@pytest.mark.parametrize("real_fails", [True, False], ids=["failure", "answer"])
def test_a_real_outcome_removes_what_a_dry_run_wrote(
    tmp_path: Path, *, real_fails: bool, is_known: bool
) -> None:
    """No dry file of the image stays, also without a journal, and none goes to the history."""
    dry = archiver(tmp_path, 1, dry_run=True)
    written = dry.store(succeeded("a.jpg", "simulated", picture(), picture("JPEG")))
    dry_log = dry.store(failed("b.jpg", ErrorKind.INVALID_REQUEST))
    second = archiver(tmp_path, 2)
    second.store(
        failed("a.jpg", ErrorKind.TIMEOUT) if real_fails else succeeded("a.jpg", "real"),
        replaced=written if is_known else (),
    )
    second.store(succeeded("b.jpg", "real"), replaced=dry_log if is_known else ())

    assert names(tmp_path) == {
        "failed/a.jpg_error.log" if real_fails else "successful/a.jpg_result.txt",
        "successful/b.jpg_result.txt",
    }
    assert not any(MARK.encode() in data for data in files(tmp_path).values())
    assert second.find_in_history(written) == ()


def test_a_dry_run_replaces_what_a_dry_run_wrote(tmp_path: Path) -> None:
    """The second dry run leaves the tree of the second dry run, and no history."""
    archiver(tmp_path, 1, dry_run=True).store(succeeded("a.jpg", "one", picture(), picture()))
    archiver(tmp_path, 2, dry_run=True).store(succeeded("a.jpg", "two"))
    assert names(tmp_path) == {"successful/a.jpg_result.txt"}

    archiver(tmp_path, 3, dry_run=True).store(failed("a.jpg", ErrorKind.INVALID_REQUEST))
    assert names(tmp_path) == {"failed/a.jpg_error.log"}


def test_a_dry_run_copies_nothing(tmp_path: Path) -> None:
    """A dry run copies no paid answer, and a real run copies no dry one."""
    real, dry = archiver(tmp_path, 1), archiver(tmp_path, 2, dry_run=True)
    real.store(succeeded("a.jpg"))
    answer = only_answer(real)

    assert dry.put_copy(job("b.jpg"), answer) == ()
    assert real.put_copy(job("b.jpg"), replace(answer, dry_run=True)) == ()
    assert names(tmp_path) == {"successful/a.jpg_result.txt"}


# Documents and archive


@dataclass(frozen=True)
class Note:
    """A document of these tests."""

    text: str
    numbers: tuple[int, ...] = ()


def test_a_document_has_its_head(tmp_path: Path) -> None:
    """Each says in which form it is, who wrote it, in which run, and whether that was dry."""
    path = archiver(tmp_path).write_document("note", Note("é\udcff", (1, 2)))

    assert path == tmp_path / "metadata/note.json"
    assert json.loads(path.read_bytes()) == {
        "schema_version": 1,
        "program": {"name": "gemini-batch-processor", "version": "0.1.0"},
        "run_id": run_info().run_id,
        "dry_run": False,
        "text": "é\udcff",
        "numbers": [1, 2],
    }


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_streamed_document_is_one_document(tmp_path: Path, count: int) -> None:
    """Items come one by one, one a line, and the whole parses."""
    items = (Note(str(number)) for number in range(count))
    path = archiver(tmp_path).write_stream("notes", Note("head"), "items", items)

    document = json.loads(path.read_bytes())
    assert document["text"] == "head"
    assert [item["text"] for item in document["items"]] == [str(number) for number in range(count)]
    assert path.read_bytes().endswith(b"}\n")


def test_a_document_that_cannot_be_finished_leaves_the_earlier_one(tmp_path: Path) -> None:
    """A full disk, or a source that fails midway, changes nothing."""
    store = archiver(tmp_path)
    path = store.write_document("notes", Note("earlier"))
    before = path.read_bytes()

    def broken() -> Iterator[Note]:
        yield Note("one")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write_stream("notes", Note("head"), "items", broken())
    with full_disk(at_bytes=100), pytest.raises(StorageError, match=r"notes\.json: File too large"):
        store.write_document("notes", Note("x" * 1000))
    assert files(tmp_path) == {"metadata/notes.json": before}


def test_a_dry_run_beside_real_results_writes_beside_them(tmp_path: Path) -> None:
    """Documents and archive of the last real run stay as they are."""
    assert not has_real_run(tmp_path)
    archiver(tmp_path, 1, dry_run=True).write_document("processing_stats", Note("dry"))
    assert not has_real_run(tmp_path)
    real = archiver(tmp_path, 2)
    real.write_document("processing_stats", Note("real"))
    assert has_real_run(tmp_path)
    archive = real.pack("zip")
    assert archive is not None
    before = {path: path.read_bytes() for path in (archive, tmp_path / "metadata/processing_stats.json")}

    dry = archiver(tmp_path, 3, dry_run=True, has_real_run=True)
    assert (
        dry.write_document("processing_stats", Note("dry"))
        == tmp_path / "metadata/dry-run/processing_stats.json"
    )
    assert dry.pack("zip") == tmp_path / "archive.dry-run.zip"
    assert dry.pack("tar") == tmp_path / "archive.dry-run.tar.gz"
    assert {path: path.read_bytes() for path in before} == before


def test_an_answer_alone_makes_a_real_run(tmp_path: Path) -> None:
    """A real run that was killed before its documents counts too; a dry one never does."""
    archiver(tmp_path, 1, dry_run=True).store(succeeded("a.jpg"))
    assert not has_real_run(tmp_path)

    archiver(tmp_path, 2).store(succeeded("a.jpg"))
    assert has_real_run(tmp_path)


def test_utf8_is_exact_for_valid_text() -> None:
    """Only what UTF-8 cannot hold is ever changed."""
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000), 0x10FFFF]))

    assert encode_utf8(text) == text.encode()
