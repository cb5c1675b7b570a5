"""Rules of rejecting what is no whole image: damage, cuts, bombs, other files, unreadable files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.hostile_images import pixel_bomb
from tests.support.privileges import unprivileged_folder
from tests.support.sample_images import WHOLE, inspect, refusal
from utils.image_diagnosis import describe_unsupported
from utils.image_formats import sniff
from utils.image_validator import MAX_FILE_BYTES, UnreadableImage, inspect_image, load_for_upload


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one file that generated cases write again and again."""
    return tmp_path_factory.mktemp("generated") / "image"


@pytest.mark.parametrize("name", sorted(set(WHOLE) - {"mpo"}))
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), from_end=st.booleans())
def test_truncated_file_is_always_refused(scratch: Path, name: str, *, share: float, from_end: bool) -> None:
    """A file cut anywhere, even by its last byte, is refused; a JPEG by the last one before its end mark."""
    data = WHOLE[name]
    end_mark = 2 if "jpeg" in name and name != "jpeg 2000" else 0
    keep = len(data) - end_mark - 1 - int(share * 30) if from_end else int(share * (len(data) - end_mark))
    scratch.write_bytes(data[:keep])

    assert refusal(scratch)


def test_second_picture_of_a_stereo_camera_is_not_judged(tmp_path: Path) -> None:
    """Of a JPEG with a further picture behind it only the first must be whole: it is what is seen."""
    data = WHOLE["mpo"]
    first_end = data.index(b"\xff\xd9") + 2

    assert inspect(tmp_path / "image", data[: first_end + 100]).width == 48
    (tmp_path / "image").write_bytes(data[: first_end - 100])
    assert "cut off" in refusal(tmp_path / "image")


_DAMAGE = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=500, deadline=None)
@example(name="animated webp", damage=[(29, 174)], cut=0)  # a head that claims 48 x 11 million pixels
@given(name=st.sampled_from(sorted(WHOLE)), damage=_DAMAGE, cut=st.integers(0, 60))
def test_damage_never_escapes_as_another_error(
    scratch: Path, name: str, damage: list[tuple[int, int]], cut: int
) -> None:
    """Whatever bytes are wrong, the image is accepted and can be sent, or it is refused."""
    data = bytearray(WHOLE[name])
    for position, value in damage:
        data[position % len(data)] = value
    scratch.write_bytes(data[: len(data) - cut])

    try:
        facts = inspect_image(scratch)
    except UnreadableImage:
        return
    assert sniff(load_for_upload(scratch, facts)) == facts.send_mime_type


@settings(max_examples=200, deadline=None)
@given(data=st.binary(min_size=1, max_size=200), kind=st.sampled_from(sorted(WHOLE)))
def test_rubbish_behind_a_good_beginning_is_refused(scratch: Path, data: bytes, kind: str) -> None:
    """The first bytes of an image do not make one."""
    scratch.write_bytes(WHOLE[kind][:16] + data)

    assert refusal(scratch)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"%PDF-1.4", "PDF"),
        (b'<?xml version="1.0"?>\n<svg>', "SVG drawing"),
        (b"\xef\xbb\xbf  <svg", "SVG drawing"),
        (b"\n<!DOCTYPE HTML>", "web page"),
        (b"FUJIFILMCCD-RAW 0201", "raw data of a camera"),
        (b"II*\0\x10\0\0\0CR\2\0", "raw data of a camera"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "raw data of a camera"),
        (b"\0\0\0\x20ftypmp42\0\0\0\0", "film"),
        (b"8BPS\0\1", "Photoshop"),
        (b"PK\3\4\x14\0", "archive"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0" * 100, "zero bytes"),
        ("caf\u00e9\n  au lait".encode(), 'text, not an image: it begins with "caf\u00e9 au lait"'),
        (("\u00e9" * 1000).encode()[:1023], "text"),
        (b"\x13\x37\xde\xad\xbe\xef\0\1\2", "begins with the bytes 13 37 de ad be ef 00 01"),
        (b"bell\x07", "begins with the bytes 62 65 6c 6c 07"),
    ],
)
def test_stranger_is_told_by_what_it_is(head: bytes, words: str) -> None:
    """A file that is no image is described so that its owner knows what to do; no raw bytes are shown."""
    sentence = describe_unsupported(head)

    assert words in sentence
    assert sentence.isprintable()
    assert sentence.endswith(".")


@pytest.mark.parametrize("side", [11_000, 14_000, 60_000])
def test_pixel_bomb_is_refused(tmp_path: Path, side: int) -> None:
    """A tiny file that declares more pixels than it can hold is refused before anything is decoded."""
    (tmp_path / "bomb.png").write_bytes(pixel_bomb(side, side))

    assert f"{side:,} x {side:,} pixels" in refusal(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Path.absolute, "no longer there"),
        (Path.mkdir, "cannot be read"),
        (os.mkfifo, "cannot be read: not a regular file."),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.symlink_to(path), "cannot be read"),
    ],
    ids=["missing", "directory", "pipe", "empty", "link to itself"],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, make: Callable[[Path], object], sentence: str
) -> None:
    """Whatever stands where an image was found is refused in words, without waiting."""
    path = tmp_path / "image.jpg"
    make(path)

    assert sentence in refusal(path)


def test_forbidden_file_is_refused() -> None:
    """A file without read permission says so."""
    with unprivileged_folder() as folder:
        (folder / "secret.png").write_bytes(WHOLE["png"])
        (folder / "secret.png").chmod(0)

        assert refusal(folder / "secret.png") == "The file may not be read: permission denied."


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    """A file above the limit is refused by its size alone."""
    path = tmp_path / "huge.png"
    with path.open("wb") as handle:
        handle.truncate(MAX_FILE_BYTES + 1_000_000)

    assert refusal(path) == "The file has 2,001 MB; images of up to 2,000 MB are read."
