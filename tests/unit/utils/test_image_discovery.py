"""Rules of utils/image_discovery.py: the walk over an input directory."""

import os
import socket
from collections.abc import Collection
from itertools import islice
from pathlib import Path

import pytest

from tests.support.hostile_images import build, encoded, picture
from tests.support.privileges import unprivileged_folder
from utils.image_discovery import FoundImage, PassedOver, PassedOverReason, discover
from utils.image_formats import SUFFIXES

_PNG = encoded(picture(), "PNG")


def find_images(root: Path, exclude: Collection[Path] = ()) -> list[str]:
    """Return the keys of the images below ``root``."""
    return [entry.relative for entry in discover(root, exclude=exclude) if isinstance(entry, FoundImage)]


def find_passed_over(root: Path, exclude: Collection[Path] = ()) -> dict[str, PassedOverReason]:
    """Return everything that was passed over, by key."""
    entries = discover(root, exclude=exclude)
    return {entry.relative: entry.reason for entry in entries if isinstance(entry, PassedOver)}


def put(root: Path, *names: str, data: bytes = _PNG) -> None:
    """Write the same bytes under several names."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_nasty_folder_is_sorted_into_what_was_expected(tmp_path: Path) -> None:
    """Every file is accounted for: taken, or passed over for the right reason."""
    table = build(tmp_path)

    taken, left = find_images(tmp_path), find_passed_over(tmp_path)

    assert sorted(taken) == sorted(nasty.key for nasty in table if nasty.fate != "passed over")
    assert left == {nasty.key: nasty.because for nasty in table if nasty.fate == "passed over"}


def test_images_come_in_one_order_folder_by_folder(tmp_path: Path) -> None:
    """The order is that of the names, whatever order the file system has."""
    put(
        tmp_path,
        "b.png",
        "a/z.png",
        "a/B.png",
        "a.png",
        "c/x/y.png",
        "\N{LATIN SMALL LETTER E WITH ACUTE}.png",
    )

    expected = [
        "a/B.png",
        "a/z.png",
        "a.png",
        "b.png",
        "c/x/y.png",
        "\N{LATIN SMALL LETTER E WITH ACUTE}.png",
    ]
    assert find_images(tmp_path) == expected


def test_found_image_says_where_it_lies_and_how_it_stands(tmp_path: Path) -> None:
    """Path, size, times and inode are those of the file itself."""
    put(tmp_path, "a/b.png")
    status = (tmp_path / "a" / "b.png").stat()

    assert list(discover(tmp_path, exclude=[])) == [
        FoundImage(
            path=tmp_path / "a" / "b.png",
            relative="a/b.png",
            size_bytes=len(_PNG),
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
        )
    ]


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".JPG", ".Png", ".HEIC"])
def test_suffix_alone_makes_an_image(tmp_path: Path, suffix: str) -> None:
    """A file called an image is judged by the validator, which can say what is wrong with it."""
    put(tmp_path, f"x{suffix}", data=b"no image")

    assert find_images(tmp_path) == [f"x{suffix}"]


@pytest.mark.parametrize(
    "file_format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000"]
)
def test_content_makes_an_image_whatever_its_name(tmp_path: Path, file_format: str) -> None:
    """A picture without an image's suffix is found by its first bytes."""
    put(tmp_path, "DSC_0001", data=encoded(picture(size=(64, 64)), file_format))

    assert find_images(tmp_path) == ["DSC_0001"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"BM",
        b"BMX bicycles, a history of them in many words",
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"II*\0\x10\0\0\0CR\2\0",
        b"GIF8",
    ],
    ids=["empty", "BM", "text", "film", "sound", "camera raw", "short"],
)
def test_other_content_is_no_image(tmp_path: Path, data: bytes) -> None:
    """Films, sounds, raw data and text are not taken for images by a likeness of their first bytes."""
    put(tmp_path, "file", data=data)

    assert find_passed_over(tmp_path) == {"file": PassedOverReason.NOT_AN_IMAGE}


@pytest.mark.parametrize("exists_before", [True, False], ids=["made before", "made during"])
def test_output_directory_is_not_input(tmp_path: Path, *, exists_before: bool) -> None:
    """The output directory inside the input directory is left alone, also when the run itself makes it."""
    put(tmp_path, "a.png")
    if exists_before:
        put(tmp_path, "out/b.png")

    entries = discover(tmp_path, exclude=[tmp_path / "out"])
    first = next(entries)
    put(tmp_path, "out/b.png")

    assert [first.relative, *(entry.relative for entry in entries)] in (["a.png", "out"], ["a.png"])
    assert find_passed_over(tmp_path, exclude=[tmp_path / "out"]) == {
        "out": PassedOverReason.OUTPUT_DIRECTORY
    }


def test_output_directory_is_known_behind_a_link(tmp_path: Path) -> None:
    """Neither a link to the output directory nor one named as it fools the walk."""
    put(tmp_path, "in/a.png")
    put(tmp_path, "real/b.png")
    (tmp_path / "in" / "door").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "alias").symlink_to(tmp_path / "real", target_is_directory=True)

    for named in ("real", "alias", "in/door", "in/../real"):
        assert find_images(tmp_path / "in", exclude=[tmp_path / named]) == ["a.png"]


def test_output_directory_as_root_yields_only_itself(tmp_path: Path) -> None:
    """Results are not read as input."""
    put(tmp_path, "a.png")

    assert find_images(tmp_path, exclude=[tmp_path]) == []
    assert find_passed_over(tmp_path, exclude=[tmp_path]) == {"": PassedOverReason.OUTPUT_DIRECTORY}


def test_input_below_the_output_directory_is_read(tmp_path: Path) -> None:
    """Only the output directory itself is closed: its parent-child order the other way round is fine."""
    put(tmp_path, "photos/a.png")

    assert find_images(tmp_path / "photos", exclude=[tmp_path]) == ["a.png"]


def test_root_with_a_journal_is_read_since_it_was_named(tmp_path: Path) -> None:
    """An earlier output directory is input when the user says so, and never by accident."""
    put(tmp_path, "metadata/journal.db", data=b"")
    put(tmp_path, "a.png")

    assert find_images(tmp_path) == ["a.png"]


def test_link_to_another_folder_is_followed(tmp_path: Path) -> None:
    """A link that leads out of the input directory, and not back, is a folder like any other."""
    put(tmp_path, "elsewhere/b.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)

    assert find_images(tmp_path / "in") == ["link/b.png"]


def test_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    """Two folders that hold links to each other are walked once each way, then the loop is named."""
    put(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a", target_is_directory=True)

    assert find_passed_over(tmp_path) == {
        "a/to_b/to_a": PassedOverReason.LINK_LOOP,
        "b/to_a/to_b": PassedOverReason.LINK_LOOP,
    }


def test_unreadable_things_are_named() -> None:
    """A folder without permission is reported; a file called an image is left to the validator."""
    with unprivileged_folder() as folder:
        put(folder, "locked/a.png", "blind/b.png", "secret.png", "secret.bin")
        (folder / "locked").chmod(0o000)
        (folder / "blind").chmod(0o600)
        (folder / "secret.png").chmod(0o000)
        (folder / "secret.bin").chmod(0o000)

        assert find_images(folder) == ["secret.png"]
        assert find_passed_over(folder) == {
            "blind/b.png": PassedOverReason.UNREADABLE,
            "locked": PassedOverReason.UNREADABLE,
            "secret.bin": PassedOverReason.UNREADABLE,
        }


def test_socket_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket named like an image is a special file."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("x.jpg")

        assert find_passed_over(tmp_path) == {"x.jpg": PassedOverReason.SPECIAL_FILE}


def test_root_that_is_missing_or_a_file_is_passed_over(tmp_path: Path) -> None:
    """The walk itself never raises."""
    put(tmp_path, "a.png")

    assert find_passed_over(tmp_path / "missing") == {"": PassedOverReason.VANISHED}
    assert find_passed_over(tmp_path / "a.png") == {"": PassedOverReason.UNREADABLE}


def test_hidden_root_is_read(tmp_path: Path) -> None:
    """The directory that the user named is read even if its name begins with a dot."""
    put(tmp_path, ".photos/a.png")

    assert find_images(tmp_path / ".photos") == ["a.png"]


def test_file_that_vanishes_during_the_walk_is_reported(tmp_path: Path) -> None:
    """Deleting files while the walk goes on is no crash."""
    put(tmp_path, "a.png", "b.png", "c.png")

    entries = discover(tmp_path, exclude=[])
    next(entries)
    (tmp_path / "b.png").unlink()

    assert [(entry.relative, isinstance(entry, PassedOver)) for entry in entries] == [
        ("b.png", True),
        ("c.png", False),
    ]


def test_walk_is_lazy(tmp_path: Path) -> None:
    """Nothing is looked at before it is asked for: what appears in a later folder is still found."""
    put(tmp_path, "a/1.png", "b/1.png")

    entries = discover(tmp_path, exclude=[])
    first = next(entries)
    put(tmp_path, "b/2.png")

    assert [first.relative, *(entry.relative for entry in entries)] == ["a/1.png", "b/1.png", "b/2.png"]


def test_deep_folders_do_not_end_the_walk(tmp_path: Path) -> None:
    """A path deeper than Python's recursion limit is walked to its end."""
    folders = [str(tmp_path) + "/d" * depth for depth in range(1, 1201)]
    for folder in folders:
        os.mkdir(folder)  # noqa: PTH102 -- a Path this deep is slow
    put(Path(folders[-1]), "a.png")

    try:
        assert len(find_images(tmp_path)) == 1
    finally:  # pytest's own clearing up is recursive
        os.unlink(f"{folders[-1]}/a.png")  # noqa: PTH108
        for folder in reversed(folders):
            os.rmdir(folder)  # noqa: PTH106


def test_many_files_in_one_folder_are_light(tmp_path: Path) -> None:
    """The first of very many names is there at once, and each is seen exactly once."""
    for number in range(3000):
        os.mknod(tmp_path / f"{number:05}.png")  # 3,000 writes would take longer than the walk

    first_three = [entry.relative for entry in islice(discover(tmp_path, exclude=[]), 3)]

    assert first_three == ["00000.png", "00001.png", "00002.png"]
    assert len(set(find_images(tmp_path))) == 3000


def test_every_reason_has_its_words() -> None:
    """No reason reaches the user as a bare identifier."""
    assert all(reason.meaning for reason in PassedOverReason)
