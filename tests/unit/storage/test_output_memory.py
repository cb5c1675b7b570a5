"""Rules of storage/output_memory.py: what an output directory held is known outside of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.output_memory import FOLDER, OutputMemory, RememberedOutput

NOW = datetime(2026, 11, 30, 2, 15, tzinfo=UTC)
TEN = RememberedOutput(answers=10, at=NOW)


def memory(folder: Path, name: str = "out", *, max_files: int = 100) -> OutputMemory:
    """Return the memory of one pair of directories."""
    return OutputMemory(
        folder / "state", input_dir=folder / "in", output_dir=folder / name, max_files=max_files
    )


def test_what_was_remembered_is_recalled_for_its_pair_alone(tmp_path: Path) -> None:
    """Other directories know nothing; the newest number counts; what is forgotten is gone."""
    memory(tmp_path).remember(3, NOW)
    memory(tmp_path).remember(10, NOW)

    assert memory(tmp_path).recall() == TEN
    assert memory(tmp_path, "other").recall() is None
    memory(tmp_path).forget()
    assert memory(tmp_path).recall() is None


def test_the_first_answer_hides_no_larger_number(tmp_path: Path) -> None:
    """It is noted only where nothing is known."""
    memory(tmp_path).note_first_answer(NOW)
    assert memory(tmp_path).recall() == RememberedOutput(answers=1, at=NOW)

    memory(tmp_path).remember(10, NOW)
    memory(tmp_path).note_first_answer(NOW)
    assert memory(tmp_path).recall() == TEN


@pytest.mark.parametrize("name", ["link", "real", "link/../real", "./real"])
def test_a_directory_is_known_by_every_path_that_leads_there(tmp_path: Path, name: str) -> None:
    """By the one it was given with, and by the one that this resolves to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    memory(tmp_path, "link").remember(10, NOW)

    assert memory(tmp_path, name).recall() == TEN


def test_a_link_that_leads_nowhere_is_still_known(tmp_path: Path) -> None:
    """The target stood on a share that is not mounted now."""
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to("share")
    memory(tmp_path, "link").remember(10, NOW)
    (tmp_path / "share").rename(tmp_path / "server")

    assert memory(tmp_path, "link").recall() == TEN


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"answers": "many", "at": 1}', b'{"answers": -1}', b"\xff\xfe"]
)
def test_a_damaged_memory_is_none_and_is_written_anew(tmp_path: Path, content: bytes) -> None:
    """No content stops a run."""
    memory(tmp_path).remember(3, NOW)
    for path in (tmp_path / "state" / FOLDER).iterdir():
        path.write_bytes(content)

    assert memory(tmp_path).recall() is None
    memory(tmp_path).remember(10, NOW)
    assert memory(tmp_path).recall() == TEN


def test_without_a_place_nothing_is_remembered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No home directory, or a state directory that cannot be written: the run goes on."""
    homeless = OutputMemory(None, input_dir=tmp_path, output_dir=tmp_path / "out")
    homeless.remember(10, NOW)
    homeless.forget()
    assert homeless.recall() is None

    caplog.set_level("INFO")
    (tmp_path / "state").write_text("a file")
    memory(tmp_path).remember(10, NOW)
    assert memory(tmp_path).recall() is None
    assert "cannot be remembered" in caplog.text


def test_the_number_of_files_is_bounded(tmp_path: Path) -> None:
    """Of more pairs than there is room for, the oldest are forgotten."""
    for number in range(6):
        memory(tmp_path, str(number), max_files=3).remember(10, NOW)

    assert len(list((tmp_path / "state" / FOLDER).iterdir())) == 3
    assert memory(tmp_path, "5").recall() == TEN
