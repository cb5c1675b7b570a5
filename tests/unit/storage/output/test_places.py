"""Rules of storage/output/places.py: no two images have one name, and a name once given stays."""

import unicodedata
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.output.layout import Place
from storage.output.places import Places
from utils.name_rules import ORDINARY, NameRules

BLIND = NameRules(folds_case=True)
WINDOWS = NameRules(
    max_bytes=143,
    forbidden=frozenset('\\:*?"<>|'),
    forbidden_at_end=frozenset(". "),
    has_devices=True,
    folds_case=True,
)
APPLE = NameRules(folds_case=True, folds_forms=True)
KEYS = [
    "After.jpg",
    "after.jpg",
    "AFTER.JPG",
    "Trip/a.jpg",
    "trip/a.jpg",
    "Trip/A.jpg",
    "trip/b.jpg",
    "x.jpg",
]


def paths(place: Place) -> set[str]:
    """Return the names of all kinds of files of an image."""
    return {place.text, place.error_log, *next(place.iter_picture_names())}


@pytest.mark.parametrize(
    "key", ["a:b/c?.jpg", "n" * 240, "é/\N{PARTY POPPER}.jpg", "After.jpg", "con/con.jpg"]
)
def test_on_an_ordinary_file_system_nothing_is_new(key: str) -> None:
    """Places follow from the key alone, as in earlier versions."""
    assert Places(ORDINARY).of(key) == Place.of(key)


@pytest.mark.parametrize("order", list(permutations(KEYS))[::2711])
def test_names_that_differ_in_case_stay_apart(order: tuple[str, ...]) -> None:
    """Whatever comes first keeps the plain name, and each has a name of its own for the file system."""
    places = Places(BLIND)

    names = [BLIND.fold(path) for key in order for path in paths(places.of(key))]

    assert len(names) == len(set(names))
    assert places.of(order[0]) == Place.of(order[0])
    assert {key: places.of(key) for key in order} == {key: places.of(key) for key in reversed(order)}


@given(
    st.lists(st.text(st.sampled_from("aAéÉ\u0301:. ~/"), min_size=1, max_size=6), unique=True, max_size=12)
)
@pytest.mark.parametrize("rules", [WINDOWS, APPLE])
def test_any_names_stay_apart_and_are_allowed(rules: NameRules, keys: list[str]) -> None:
    """No two images share a file, and every name is one that the file system takes."""
    keys = [key for key in keys if not key.startswith("/") and not key.endswith("/") and "//" not in key]
    places = Places(rules)

    found = [places.of(key) for key in keys]

    assert len({rules.fold(place.text) for place in found}) == len(keys)
    assert len({rules.fold(place.error_log) for place in found}) == len(keys)
    for place in found:
        for part in (*place.folder.parts, f"{place.stem}_result_9999.webp"):
            assert rules.escape(part, is_whole=True) == part
            assert len(part.encode()) <= rules.max_bytes


def test_the_next_night_gives_the_same_names() -> None:
    """Names that the journal knows stay with their images, in whatever order these come next time."""
    first = Places(BLIND)
    night = {key: first.of(key) for key in KEYS}
    second = Places(BLIND)
    second.adopt((key, place.text) for key, place in reversed(night.items()))

    assert {key: second.of(key) for key in reversed(KEYS)} == night


def test_a_name_of_the_first_night_is_not_taken_by_a_newcomer() -> None:
    """``After.jpg`` comes a night later than ``after.jpg``, and sorts before it."""
    places = Places(BLIND)
    places.adopt([("after.jpg", "successful/after.jpg_result.txt"), ("t/x.jpg", "failed/T/x.jpg_error.log")])

    assert places.of("After.jpg") == Place.distinct("After.jpg", BLIND)
    assert places.of("after.jpg") == Place.of("after.jpg")
    assert places.of("t/y.jpg").text == "successful/T/y.jpg_result.txt"


def test_a_folder_is_spelled_as_it_was_first() -> None:
    """What the file system calls a folder is what is recorded, so that the tree can be copied elsewhere."""
    places = Places(APPLE)
    composed, decomposed = "É", unicodedata.normalize("NFD", "É")

    folders = {
        str(places.of(f"{name}/Trip/{n}.jpg").folder) for n, name in enumerate([composed, decomposed, "é"])
    }

    assert folders == {f"{composed}/Trip"}
    assert str(places.of("é/trip/z.jpg").folder) == f"{composed}/Trip"


def test_long_names_fit_a_disk_that_takes_143_bytes() -> None:
    """A name as long as an encrypted disk takes has room for the endings, and is not another's."""
    names = ["é" * 70 + ".jpg", "é" * 70 + ".png", "x" * 143, "x" * 142 + "y"]
    places = Places(NameRules(max_bytes=143))

    found = [places.of(f"{name[:100]}/{name}") for name in names]

    assert len({place.stem for place in found}) == len(names)
    assert all(len(path.rpartition("/")[2].encode()) <= 143 for place in found for path in paths(place))
