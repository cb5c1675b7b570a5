"""Rules of app/input_selection.py: which images belong to a run, and that the others are counted."""

import io
import os
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.input_selection import Found, InputFilters, InputSelection
from errors import UsageError
from utils.image_discovery import FoundImage, PassedOver, PassedOverReason, discover

NOW = datetime(2026, 11, 30, 22, tzinfo=UTC)
NAMES = ["a.jpg", "b.png", "IMG.JPG", "holiday/a.jpg", "holiday/b.webp", "holiday/old/c.jpg", "drafts/d.jpg"]
ALL = set(NAMES)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a directory with images, each changed an hour after the one before it, the last one now."""
    for number, name in enumerate(reversed(NAMES)):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (number + 1))
        moment = (NOW - timedelta(hours=number)).timestamp()
        os.utime(path, (moment, moment))
    return tmp_path / "photos"


def select(photos: Path, **filters: object) -> tuple[set[str], int, list[PassedOver]]:
    """Return the keys that are selected, the number left out, and what is passed over."""
    selection = InputSelection(filters=InputFilters(**filters), input_dir=photos, now=NOW)  # type: ignore[arg-type]
    items = list(selection.select(partial(discover, photos, exclude=[])))
    keys = [item.relative for item in items if isinstance(item, FoundImage)]
    assert len(keys) == len(set(keys))
    return set(keys), selection.left_out, [item for item in items if isinstance(item, PassedOver)]


PATTERNS: dict[str, tuple[dict[str, object], set[str]]] = {
    "no filter": ({}, ALL),
    "a suffix, in its capitals": (
        {"include": ("*.jpg",)},
        {"a.jpg", "holiday/a.jpg", "holiday/old/c.jpg", "drafts/d.jpg"},
    ),
    "several": ({"include": ("*.JPG", "*.png")}, {"IMG.JPG", "b.png"}),
    "a folder": ({"include": ("holiday/",)}, {"holiday/a.jpg", "holiday/b.webp", "holiday/old/c.jpg"}),
    "the top alone": ({"include": ("/*.jpg",)}, {"a.jpg"}),
    "any depth": ({"include": ("holiday/**/*.jpg",)}, {"holiday/a.jpg", "holiday/old/c.jpg"}),
    "an exception": ({"include": ("*.jpg", "!drafts/*")}, {"a.jpg", "holiday/a.jpg", "holiday/old/c.jpg"}),
    "excluded": ({"exclude": ("drafts/", "old/")}, ALL - {"drafts/d.jpg", "holiday/old/c.jpg"}),
    "both": ({"include": ("holiday/",), "exclude": ("*.webp",)}, {"holiday/a.jpg", "holiday/old/c.jpg"}),
    "nothing": ({"include": ("*.tif",)}, set()),
    "new ones": ({"newer_than_s": 9_000.0}, {"drafts/d.jpg", "holiday/old/c.jpg", "holiday/b.webp"}),
}


@pytest.mark.parametrize("case", PATTERNS)
def test_filters_hold_together_and_the_rest_is_counted(photos: Path, case: str) -> None:
    """Patterns mean what they mean in a .gitignore; nothing vanishes."""
    filters, expected = PATTERNS[case]

    selected, left_out, _ = select(photos, **filters)

    assert selected == expected
    assert left_out == len(NAMES) - len(expected)


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, {"IMG.JPG"}), (3, {"IMG.JPG", "a.jpg", "b.png"}), (99, ALL)]
)
def test_a_limit_takes_the_first(photos: Path, limit: int, expected: set[str]) -> None:
    """In the order of every run, so that the next one has the same."""
    assert select(photos, limit=limit)[:2] == (expected, len(NAMES) - len(expected))


@pytest.mark.parametrize("pattern", ["/", "!", "# a comment"])
def test_what_is_no_pattern_is_refused(photos: Path, pattern: str) -> None:
    """In one sentence with the flag and the pattern."""
    with pytest.raises(UsageError, match=r"--exclude: .* is no pattern"):
        select(photos, exclude=("*.jpg", pattern))


LISTS = {
    "as below the directory": "a.jpg\nholiday/a.jpg\n",
    "without the last line feed": "a.jpg\nholiday/a.jpg",
    "as a Windows program writes it": "a.jpg\r\nholiday/a.jpg\r\n",
    "with empty lines, dots and repetitions": "\na.jpg\n\n./holiday/../holiday/a.jpg\na.jpg\n",
    "as seen from here": "photos/a.jpg\nphotos/holiday/a.jpg\n",
    "absolute": "{photos}/a.jpg\n{photos}/holiday/a.jpg\n",
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_names_the_images(photos: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Each path once, however it is written."""
    monkeypatch.chdir(photos.parent)
    Path("list.txt").write_bytes(LISTS[case].replace("{photos}", str(photos)).encode())

    selected, left_out, passed_over = select(photos, input_list="list.txt")

    assert selected == {"a.jpg", "holiday/a.jpg"}
    assert (left_out, passed_over) == (5, [])


def test_a_list_comes_from_the_standard_input(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Separated by NUL bytes, a path may hold a line feed and bytes that are no UTF-8."""
    odd = photos / os.fsdecode(b"two\nlines \xff.jpg")
    odd.write_bytes(b"x")
    data = b"\0".join([os.fsencode(odd.name), b"b.png", b""])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    selected, left_out, _ = select(photos, input_list="-", null_separated=True)

    assert "b.png" in selected
    assert len(selected) == 2
    assert left_out == len(NAMES) - 1


def test_what_is_listed_and_not_there_is_told(photos: Path) -> None:
    """It stops nothing, and is passed over like any file that is gone."""
    (photos / "notes.txt").write_text("words", encoding="utf-8")
    (photos.parent / "list.txt").write_text("gone.jpg\na.jpg\nnotes.txt\n", encoding="utf-8")

    selected, _, passed_over = select(photos, input_list=str(photos.parent / "list.txt"))

    assert selected == {"a.jpg"}
    assert {item.relative: item.reason for item in passed_over} == {
        "gone.jpg": PassedOverReason.LISTED_MISSING,
        "notes.txt": PassedOverReason.NOT_AN_IMAGE,
    }


WRONG_LISTS = {
    "outside": (b"a.jpg\n../secret.jpg\n", "line 2: '../secret.jpg' is not below"),
    "the directory itself": (b".\n", "line 1: '.' is not below"),
    "a NUL without -0": (b"a.jpg\0b.png\0", "-0 is for lists that are separated by it"),
    "another kind of file": (b"x" * 200_000, "more than 65,536 bytes"),
}


@pytest.mark.parametrize("case", WRONG_LISTS)
def test_a_wrong_list_is_refused(photos: Path, case: str) -> None:
    """With its line, before anything is asked."""
    data, expected = WRONG_LISTS[case]
    path = photos.parent / "list.txt"
    path.write_bytes(data)

    with pytest.raises(UsageError) as caught:
        select(photos, input_list=str(path))

    assert expected in str(caught.value)


def test_a_missing_list_is_refused(photos: Path) -> None:
    """Its name and the system's word."""
    with pytest.raises(
        UsageError, match=r"--input-list: none.txt cannot be read \(No such file or directory\)"
    ):
        select(photos, input_list="none.txt")


def walk_of(counts: dict[tuple[str, str, int], int]) -> Iterator[Found]:
    """Yield images by folder, suffix and size."""
    for (folder, suffix, size), count in counts.items():
        for number in range(count):
            name = f"{folder}/{number:05}{suffix}"
            yield FoundImage(path=Path(name), relative=name, size_bytes=size, mtime_ns=0, ctime_ns=0, inode=0)


MIXED = {
    ("wedding", ".jpg", 4_000_000): 6_000,
    ("wedding", ".png", 9_000_000): 2_000,
    ("studio", ".jpg", 300_000): 1_000,
    ("scans", ".tif", 30_000_000): 900,
    ("odd", ".webp", 1_000): 100,
}


def draw(size: int, seed: int) -> list[str]:
    """Return the keys of a sample of the mixed folders."""
    filters = InputFilters(sample=size, seed=seed)
    selection = InputSelection(filters=filters, input_dir=Path(), now=NOW)
    keys = [item.relative for item in selection.select(lambda: walk_of(MIXED))]
    assert selection.left_out == sum(MIXED.values()) - len(keys)
    return keys


@pytest.mark.parametrize("size", [1, 20, 500, 9_999, 10_000, 50_000])
def test_a_sample_has_its_size_and_is_spread(size: int) -> None:
    """Every group gives its share, to one image; the whole is no more than there is."""
    keys = draw(size, seed=0)

    assert len(keys) == len(set(keys)) == min(size, 10_000)
    assert keys == [one.relative for one in walk_of(MIXED) if one.relative in set(keys)]
    by_group = Counter((key.split("/")[0], Path(key).suffix) for key in keys)
    for (folder, suffix, _), count in MIXED.items():
        share = min(size, 10_000) * count / 10_000
        assert abs(by_group[folder, suffix] - share) <= 2


def test_a_seed_draws_the_same_and_another_draws_others() -> None:
    """So that a sample can be repeated, and a second one checks the first."""
    assert draw(50, seed=7) == draw(50, seed=7)
    assert len(set(draw(50, seed=7)) & set(draw(50, seed=8))) < 10


def test_every_image_has_its_chance() -> None:
    """Over many seeds no part of a folder is left out."""
    drawn = {key for seed in range(300) for key in draw(40, seed=seed) if key.startswith("odd/")}

    assert len(drawn) > 50
