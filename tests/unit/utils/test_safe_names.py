"""Rules of utils/safe_names.py: keys, and names in the output directory."""

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from utils.name_rules import NameRules
from utils.safe_names import output_folder, output_name, printable_key

# Names made to collide: short, of few characters, with every mark that our own names have.
_PIECES = [
    "a",
    ".",
    "~",
    "%0A",
    "\n",
    "\udcff",
    "\u202e",
    "0123456789ab",
    "~0123456789ab",
    "_result.txt",
    "~dir",
]
_TRICKY = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=5).map("".join)
_ANY = st.binary(min_size=1, max_size=40).map(
    lambda raw: os.fsdecode(raw.replace(b"/", b"_").replace(b"\0", b"_"))
)
_NAMES = st.one_of(_TRICKY, _ANY).filter(lambda name: name not in {".", ".."})
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_SUFFIXES = st.sampled_from(["_result.txt", "_result.png", "_result_2.png", "_error.log"])


@pytest.mark.parametrize(
    ("relative", "key"),
    [
        ("a/b/c.jpg", "a/b/c.jpg"),
        ("-rf 100% $(x).jpg", "-rf 100% $(x).jpg"),
        (
            "f\u00eate \U0001f468\u200d\U0001f469\u200d\U0001f467.jpg",
            "f\u00eate \U0001f468\u200d\U0001f469\u200d\U0001f467.jpg",
        ),
        ("a\nb.jpg", "a%0Ab~{hash}.jpg"),
        ("50%\n.jpg", "50%25%0A~{hash}.jpg"),
        (os.fsdecode(b"caf\xe9/x.jpg"), "caf%E9~{hash}/x.jpg"),
        ("gpj.\u202eexe", "gpj~{hash}.%E2%80%AEexe"),
        (PurePosixPath("a/b.jpg"), "a/b.jpg"),
    ],
    ids=["plain", "shell", "emoji", "newline", "percent", "latin1", "reversed", "path"],
)
def test_key_is_the_path_unless_it_cannot_be_shown(relative: str, key: str) -> None:
    """A key reads like the path; what a terminal or JSON cannot show is escaped and marked with a hash."""
    made = printable_key(relative)

    stem, _, ending = key.partition("{hash}")
    assert made.startswith(stem)
    assert made.endswith(ending)
    assert len(made) == len(key.replace("{hash}", "0" * 12))


@given(first=_PATHS, second=_PATHS)
def test_keys_of_different_paths_differ(first: str, second: str) -> None:
    """No two files share a key, not even when one is named like the other's key."""
    assume(first != second)

    assert printable_key(first) != printable_key(second)


@given(path=_PATHS)
def test_key_is_printable_utf8_with_the_same_depth(path: str) -> None:
    """A key can be encoded, has no line breaks and mirrors the folders of the path."""
    key = printable_key(path)

    assert len(key.encode().decode().splitlines()) == 1
    assert key.count("/") == path.count("/")


@given(first=_NAMES, second=_NAMES, suffix=_SUFFIXES, limit=st.integers(40, 60))
def test_output_names_differ_and_keep_the_limit(first: str, second: str, suffix: str, limit: int) -> None:
    """Different images never get one result file, however long their names are."""
    keys = printable_key(first), printable_key(second)
    names = [output_name(key, suffix, rules=NameRules(max_bytes=limit)) for key in keys]

    assert (names[0] == names[1]) == (keys[0] == keys[1])
    assert all(len(name.encode()) <= limit and name.endswith(suffix) for name in names)


def test_output_name_is_the_name_with_its_suffix() -> None:
    """The documented name is kept whenever it fits, to the last byte."""
    assert output_name("image1.jpg", "_result.txt") == "image1.jpg_result.txt"
    assert output_name("n" * 244, "_result.txt") == "n" * 244 + "_result.txt"
    assert output_name("n" * 245, "_result.txt") != "n" * 245 + "_result.txt"


def test_shortening_never_splits_a_character() -> None:
    """A name cut to its limit is still UTF-8, and says the beginning of the old one."""
    name = output_name("\N{PARTY POPPER}" * 62, "_result.txt")

    assert name.startswith("\N{PARTY POPPER}" * 50)
    assert 252 <= len(name.encode()) <= 255


def test_shortened_name_cannot_be_forged() -> None:
    """A file named exactly like another's shortened name still gets a name of its own."""
    forged = output_name("n" * 300, "_result.txt").removesuffix("_result.txt")

    assert output_name(forged, "_result.txt") != output_name("n" * 300, "_result.txt")


@pytest.mark.parametrize(
    ("key", "folder"),
    [
        ("c.jpg", "."),
        ("a/b/c.jpg", "a/b"),
        ("x.jpg_result.txt/c.jpg", "x.jpg_result.txt~dir"),
        ("X.JPG_RESULT.PNG/c.jpg", "X.JPG_RESULT.PNG~dir"),
        ("x.jpg_result_12.png/c.jpg", "x.jpg_result_12.png~dir"),
        ("x_result/c.jpg", "x_result~dir"),
        ("x.jpg_error.log/c.jpg", "x.jpg_error.log~dir"),
        ("x~dir/c.jpg", "x~dir~dir"),
        ("results/c.jpg", "results"),
        ("/etc/passwd", "etc"),
        ("../../c.jpg", "..~dir/..~dir"),
    ],
)
def test_folder_mirrors_the_key_and_yields_to_results(key: str, folder: str) -> None:
    """A folder keeps its name unless a result file could have the same, and never leads elsewhere."""
    assert output_folder(key) == PurePosixPath(folder)


@given(first=_PATHS, second=_PATHS)
def test_folders_of_different_folders_differ(first: str, second: str) -> None:
    """No two folders are mirrored into one, and each component keeps the file system's limit."""
    keys = printable_key(first), printable_key(second)
    folders = [output_folder(f"{key}/x.jpg") for key in keys]

    assert (folders[0] == folders[1]) == (keys[0] == keys[1])
    assert all(len(part.encode()) <= 255 for folder in folders for part in folder.parts)


@given(name=_NAMES, folder=_NAMES, suffix=_SUFFIXES)
def test_no_result_file_has_a_folders_name(name: str, folder: str, suffix: str) -> None:
    """A folder of images can never stand where the result of an image beside it must."""
    mirrored = output_folder(f"{printable_key(folder)}/x.jpg")

    assert mirrored.name != output_name(printable_key(name), suffix)


def test_long_folder_names_are_shortened() -> None:
    """A folder whose name is escaped or marked beyond the limit still fits."""
    folder = output_folder("y" * 244 + "_result.txt/x.jpg")

    assert len(folder.name) <= 255
    assert folder.name.endswith("~dir")
