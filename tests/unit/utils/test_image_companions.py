"""Rules of utils.image_companions.py: the still is sent, its film is not."""

from pathlib import Path

import pillow_heif
import pytest

from tests.support.hostile_images import picture
from tests.support.sample_images import WHOLE
from utils.image_companions import find_film
from utils.image_validator import inspect_image, load_for_upload, read_image

STILL = WHOLE["progressive jpeg"]
FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x08mdat" + b"film" * 9_000

FILMS = {
    "as Google's phones write it": STILL + FILM,
    "as Samsung's do": STILL + b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + FILM + b"SEFH\x6a\0\0\0SEFT",
    "of an iPhone, exported": STILL + b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + b"film" * 100,
}
OTHERS = {
    "an ordinary picture": STILL,
    "a second picture": WHOLE["mpo"],
    "some bytes behind it": STILL + b"ftyp of nothing",
    "a film's name in a comment": STILL[:2] + b"\xff\xfe\0\x0aftypmp42" + STILL[2:],
    "the same, with bytes behind it": STILL[:2] + b"\xff\xfe\0\x0aftypmp42" + STILL[2:] + b"x",
}


@pytest.mark.parametrize("name", FILMS)
def test_the_film_stays_here(tmp_path: Path, name: str) -> None:
    """The picture is sent byte for byte; the entry says so, and the file is known by all its bytes."""
    path = tmp_path / "a.jpg"
    path.write_bytes(FILMS[name])

    facts, data = read_image(path)

    assert data == STILL == load_for_upload(path, facts)
    assert "a motion photo: sent without its film" in facts.notes
    path.write_bytes(FILMS[name] + b"x")
    assert inspect_image(path).sha256 != facts.sha256


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_film_goes_as_it_is(tmp_path: Path, name: str) -> None:
    """Nothing is cut off a picture."""
    assert find_film(OTHERS[name]) is None
    path = tmp_path / "a.jpg"
    path.write_bytes(OTHERS[name])
    assert read_image(path)[1] == OTHERS[name]


def test_further_pictures_are_told(tmp_path: Path) -> None:
    """A JPEG with several pictures, and a HEIC of a burst; an ordinary one has no such remark."""
    remark = "several pictures in one file: the main one is asked about"
    burst = pillow_heif.from_pillow(picture(1))
    burst.add_from_pillow(picture(2))
    burst.save(tmp_path / "burst.heic")
    (tmp_path / "a.jpg").write_bytes(WHOLE["mpo"])
    (tmp_path / "b.jpg").write_bytes(STILL)

    assert remark in inspect_image(tmp_path / "burst.heic").notes
    assert remark in inspect_image(tmp_path / "a.jpg").notes
    assert remark not in inspect_image(tmp_path / "b.jpg").notes
