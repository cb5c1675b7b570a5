"""Rules of archiver.py for dry runs, documents and the place of the archive."""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from errors import ErrorKind, StorageError
from models import Artefact, Outcome, Predecessor
from storage.output.answer_text import DRY_RUN_LINE, DRY_RUN_TRAILER, encode_utf8
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


@dataclass(frozen=True)
class Note:
    """A document of these tests."""

    text: str
    numbers: tuple[int, ...] = ()


# Dry runs


def test_a_dry_run_writes_marked_files_below_its_folder_alone(tmp_path: Path) -> None:
    """Text, report and picture say it themselves; the picture still opens; real runs know nothing of it."""
    store = archiver(tmp_path, dry_run=True)
    store.check_writable()
    store.store(succeeded("a.jpg", "simulated", picture()))
    store.store(failed("b.jpg", ErrorKind.INVALID_REQUEST))
    store.write_document("note", Note("dry"))
    assert store.pack("zip") == tmp_path / "dry-run/archive.zip"

    assert {path.name for path in tmp_path.iterdir()} == {"dry-run"}
    for name, data in files(tmp_path / "dry-run", "successful", "failed").items():
        assert MARK.encode() in (data if name.endswith(".png") else data.splitlines()[0])
    with Image.open(io.BytesIO((tmp_path / "dry-run/successful/a.jpg_result.png").read_bytes())) as shown:
        shown.load()
    (line,) = (tmp_path / "dry-run/metadata/results.jsonl").read_bytes().splitlines()
    assert json.loads(line)["dry_run"] is True
    assert list(store.proven_answers) == list(archiver(tmp_path, 2).proven_answers) == []


def test_a_dry_run_knows_the_answers_of_real_runs(tmp_path: Path) -> None:
    """It reads their ledger and sees their files."""
    real = archiver(tmp_path, 1)
    stored = real.store(succeeded("a.jpg", "text", picture()))
    dry = archiver(tmp_path, 2, dry_run=True)

    assert [answer.key for answer in dry.proven_answers] == ["a.jpg"]
    assert all(map(dry.is_present, stored))
    assert all(map(dry.has_expected_hash, stored))


@pytest.mark.parametrize("real_fails", [True, False], ids=["real-failure", "real-answer"])
@pytest.mark.parametrize("dry_fails", [True, False], ids=["dry-failure", "dry-answer"])
def test_a_dry_run_changes_nothing_real(tmp_path: Path, *, real_fails: bool, dry_fails: bool) -> None:
    """No file of a real run is changed, moved or joined by others, with any list of files to replace."""
    answer, failure = succeeded("a.jpg", "text", picture()), failed("a.jpg", ErrorKind.TIMEOUT)
    real = archiver(tmp_path, 1).store(failure if real_fails else answer)
    before = files(tmp_path)

    assert archiver(tmp_path, 2, dry_run=True).store(failure if dry_fails else answer, replaced=real)
    assert files(tmp_path) == before


def test_a_dry_run_overwrites_nothing_without_its_mark(tmp_path: Path) -> None:
    """A file that somebody put below its folder stays, and the image gets no simulated answer there."""
    folder = tmp_path / "dry-run/successful"
    folder.mkdir(parents=True)
    (folder / "a.jpg_result.png").write_bytes(picture())

    assert archiver(tmp_path, dry_run=True).store(succeeded("a.jpg", "text", picture(shade=3))) == ()
    assert files(tmp_path / "dry-run") == {"successful/a.jpg_result.png": picture()}


def put_old_fakes(root: Path, *outcomes: Outcome) -> tuple[Artefact, ...]:
    """Write what a dry run of an earlier version left among real results; return its files."""
    dry = archiver(root, 1, dry_run=True)
    written = [artefact for outcome in outcomes for artefact in dry.store(outcome)]
    for path in (path for path in (root / "dry-run").rglob("*") if path.is_file()):
        old = root / path.relative_to(root / "dry-run")
        old = root / "metadata/dry-run/results.jsonl" if old.name == "results.jsonl" else old
        old.parent.mkdir(parents=True, exist_ok=True)
        path.rename(old)
    shutil.rmtree(root / "dry-run")
    return tuple(written)


@pytest.mark.parametrize("is_known", [True, False], ids=["journal-knows", "journal-lost"])
@pytest.mark.parametrize("real_fails", [True, False], ids=["failure", "answer"])
def test_a_real_outcome_moves_what_an_old_dry_run_wrote(
    tmp_path: Path, *, real_fails: bool, is_known: bool
) -> None:
    """No fake of an earlier version stays beside it, also without a journal; it is moved, not deleted."""
    written = put_old_fakes(
        tmp_path,
        succeeded("a.jpg", "simulated", picture(), picture("JPEG")),
        failed("b.jpg", ErrorKind.INVALID_REQUEST),
    )
    second = archiver(tmp_path, 2)
    second.store(
        failed("a.jpg", ErrorKind.TIMEOUT) if real_fails else succeeded("a.jpg", "real"),
        replaced=written if is_known else (),
    )
    second.store(succeeded("b.jpg", "real"))

    moved = second.find_in_history(written)
    assert len(moved) == 3
    assert names(tmp_path) - {artefact.path for artefact in moved} == {
        "failed/a.jpg_error.log" if real_fails else "successful/a.jpg_result.txt",
        "successful/b.jpg_result.txt",
    }
    assert not any(MARK.encode() in data for data in files(tmp_path, "successful", "failed").values())


MARKED = f"{DRY_RUN_LINE}A cat."
"""An answer that a model wrote, or a stranger through the picture."""


@pytest.mark.parametrize("has_picture", [False, True])
@pytest.mark.parametrize("is_known", [True, False], ids=["journal-knows", "journal-lost"])
def test_an_answer_with_the_mark_is_real(tmp_path: Path, *, has_picture: bool, is_known: bool) -> None:
    """What the ledger proves is moved when a new answer comes, and stays when none does."""
    pictures = [picture() + DRY_RUN_TRAILER] if has_picture else []
    first = archiver(tmp_path, 1)
    written = first.store(succeeded("a.jpg", MARKED, *pictures))
    before = {artefact.path: (tmp_path / artefact.path).read_bytes() for artefact in written}
    second, third = archiver(tmp_path, 2), archiver(tmp_path, 3)
    if is_known:
        kept = Predecessor(artefacts=written, answer=only_answer(first))
        second.store_all([(failed("a.jpg", ErrorKind.TIMEOUT), kept)])
        assert {path: (tmp_path / path).read_bytes() for path in before} == before
    third.store(succeeded("a.jpg", "new"), replaced=written if is_known else ())

    moved = third.find_in_history(written)
    assert [(tmp_path / artefact.path).read_bytes() for artefact in moved] == list(before.values())
    assert all(map(third.has_expected_hash, moved))


def test_a_dry_run_beside_an_answer_with_the_mark(tmp_path: Path) -> None:
    """It changes nothing of it."""
    written = archiver(tmp_path, 1).store(succeeded("a.jpg", MARKED))
    archiver(tmp_path, 2, dry_run=True).store(succeeded("a.jpg", "simulated"), replaced=written)

    assert all(map(archiver(tmp_path, 3).has_expected_hash, written))


def test_a_fake_of_an_earlier_version_is_never_taken_for_real(tmp_path: Path) -> None:
    """Neither the ledger nor the archive of a real run, nor a copy, has anything of it."""
    put_old_fakes(tmp_path, succeeded("a.jpg", "simulated"))
    real = archiver(tmp_path, 2)
    real.store(succeeded("b.jpg", "real"))

    assert [answer.key for answer in real.proven_answers] == ["b.jpg"]
    archive = real.pack("zip")
    assert archive
    with zipfile.ZipFile(archive) as packed:
        assert "metadata/dry-run/results.jsonl" not in packed.namelist()


def test_a_dry_run_replaces_what_a_dry_run_wrote(tmp_path: Path) -> None:
    """The second dry run leaves the tree of the second dry run, and no history."""
    folder = tmp_path / "dry-run"
    archiver(tmp_path, 1, dry_run=True).store(succeeded("a.jpg", "one", picture(), picture()))
    archiver(tmp_path, 2, dry_run=True).store(succeeded("a.jpg", "two"))
    assert names(folder) == {"successful/a.jpg_result.txt"}

    archiver(tmp_path, 3, dry_run=True).store(failed("a.jpg", ErrorKind.INVALID_REQUEST))
    assert names(folder) == {"failed/a.jpg_error.log"}


def test_a_dry_run_copies_nothing(tmp_path: Path) -> None:
    """A dry run copies no paid answer, and a real run copies no dry one."""
    real, dry = archiver(tmp_path, 1), archiver(tmp_path, 2, dry_run=True)
    real.store(succeeded("a.jpg"))
    answer = only_answer(real)

    assert dry.put_copy(job("b.jpg"), answer) == ()
    assert real.put_copy(job("b.jpg"), replace(answer, dry_run=True)) == ()
    assert names(tmp_path) == {"successful/a.jpg_result.txt"}


# Documents and archive


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


def test_utf8_is_exact_for_valid_text() -> None:
    """Only what UTF-8 cannot hold is ever changed."""
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000), 0x10FFFF]))

    assert encode_utf8(text) == text.encode()
