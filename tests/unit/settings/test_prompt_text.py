"""Rules of settings/prompt_text.py: a file's name is not sent as the prompt by mistake."""

import shlex
from pathlib import Path

import pytest

from errors import UsageError
from settings.prompt_text import read_prompt
from settings.sources import Source, Sources


def read(argument: str) -> str:
    """Return the prompt that an argument means."""
    return read_prompt(argument, Sources((Source(origin="", values={"prompt": argument}),)))


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, which is the home directory as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    "name", ["prompt.txt", "./prompt.txt", "~/prompt.txt", "my prompt.md", "words", "it's"]
)
def test_the_name_of_a_file_is_asked_about(name: str) -> None:
    """The sentence names both ways to write it, and each does what it says."""
    Path(name).expanduser().write_text("Describe the picture\n")

    with pytest.raises(UsageError, match=r"^--prompt is the name of a file, ") as caught:
        read(name)

    words = shlex.split(str(caught.value).partition(": write ")[2])
    told = [words[place + 1] for place, word in enumerate(words) if word == "--prompt"]
    assert [read(argument) for argument in told] == ["Describe the picture", name]


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("prompt.txt", "prompt.txt"),
        ("@@prompt.txt", "@prompt.txt"),
        ("@@home", "@home"),
        ("photos", "photos"),
        ("a\nb", "a\nb"),
        ("x" * 5_000, "x" * 5_000),
        ("nul\0", "nul\0"),
    ],
    ids=["no-such-file", "no-such-file-twice", "a-mention", "a-folder", "lines", "long", "nul"],
)
def test_other_words_are_the_prompt(argument: str, text: str) -> None:
    """What is no name of a file is sent as it is typed."""
    Path("photos").mkdir()

    assert read(argument) == text


def test_a_file_in_an_unknown_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``~`` that stands for no folder is an error about the file."""
    with pytest.raises(UsageError, match=r"cannot be read: '~nobody-here/p\.txt'"):
        read("@~nobody-here/p.txt")
