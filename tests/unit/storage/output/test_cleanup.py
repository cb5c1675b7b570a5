"""Rules of cleanup.py: existing pictures and reports are in the index, or are looked for."""

from pathlib import Path

import pytest

from storage.output.cleanup import _MAX_IMAGES, ExistingFiles
from storage.output.layout import Place
from storage.output.tree import OutputTree

PLACE = Place.of("t/a.jpg")


def _cleaned_tree(root: Path) -> OutputTree:
    tree = OutputTree(root, run_id="r", dry_run=False)
    tree.remove_unfinished()
    return tree


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"earlier")


@pytest.mark.parametrize("ending", [".png", ".PNG", "_2.webp"])
def test_pictures_of_earlier_runs_are_found_after_the_sweep(tmp_path: Path, ending: str) -> None:
    """An earlier answer's picture is replaced by the next answer, as without an index."""
    _write(tmp_path / f"successful/t/a.jpg_result{ending}")
    unswept = OutputTree(tmp_path, run_id="r", dry_run=False)

    assert _cleaned_tree(tmp_path).find_results(PLACE) == unswept.find_results(PLACE)


def test_reports_of_earlier_runs_go_with_the_answer(tmp_path: Path) -> None:
    """The report of an earlier failure is removed; another image's stays."""
    for name in ("a", "b"):
        _write(tmp_path / f"failed/t/{name}.jpg_error.log")

    _cleaned_tree(tmp_path).remove_report("t/a.jpg", PLACE)

    assert [path.name for path in (tmp_path / "failed/t").iterdir()] == ["b.jpg_error.log"]


def test_what_this_run_writes_is_found(tmp_path: Path) -> None:
    """A picture or a report that was written after the walk is in the index."""
    (tmp_path / "successful").mkdir()
    (tmp_path / "failed").mkdir()
    tree = _cleaned_tree(tmp_path)
    tree.put(PLACE.picture(1, "png"), b"picture")
    tree.put(PLACE.error_log, b"report")

    tree.remove_report("t/a.jpg", PLACE)

    assert tree.find_results(PLACE) == [PLACE.picture(1, "png")]
    assert not (tmp_path / PLACE.error_log).exists()


def test_folders_behind_links_are_looked_into(tmp_path: Path) -> None:
    """The walk follows no link, so files behind one are looked for."""
    _write(tmp_path / "elsewhere/a.jpg_result.png")
    (tmp_path / "successful").mkdir()
    (tmp_path / "successful/t").symlink_to(tmp_path / "elsewhere")

    assert _cleaned_tree(tmp_path).find_results(PLACE) == [PLACE.picture(1, "png")]


def test_names_that_a_file_system_may_spell_otherwise_are_looked_for() -> None:
    """Some file systems take two spellings of one letter as one name."""
    seen = ExistingFiles()
    seen.reset()

    assert not seen.may_have("successful/e")
    assert seen.may_have("successful/\u00e9")


def test_too_many_are_not_remembered() -> None:
    """Memory is bounded: with very many pictures each image is looked for again."""
    seen = ExistingFiles()
    seen.reset()
    for number in range(_MAX_IMAGES + 1):
        seen.add(f"successful/{number}_result.png")

    assert seen.may_have("successful/a")


def test_texts_are_not_remembered() -> None:
    """A million answers in words take no memory."""
    seen = ExistingFiles()
    seen.reset()
    for number in range(2 * _MAX_IMAGES):
        seen.add(f"successful/{number}_result.txt")

    assert not seen.may_have("successful/1")
