"""Rules of app/typed_command.py: the command starts this program with this interpreter from anywhere."""

import shlex
from pathlib import Path

import pytest

from app.typed_command import format_command

FLAGS = ("--input-dir", "/my photos", "--prompt", "it's")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def words(prog: str, script: str, found: str | None = None) -> list[str]:
    """Return the words of the command before its flags; ``found`` is the ``gemini-batch`` on the path."""
    command = format_command(prog, FLAGS, script=script, interpreter="/v/bin/python", find=lambda _: found)
    typed = shlex.split(command)
    assert typed[-len(FLAGS) :] == [*FLAGS]
    return typed[: -len(FLAGS)]


@pytest.mark.parametrize(
    ("script", "path"), [("/x/main.py", "/x/main.py"), ("main.py", "{cwd}/main.py"), (".", "{cwd}")]
)
def test_a_script_is_named_by_its_path(script: str, path: str) -> None:
    """So is its interpreter, since ``python`` may be another one where the command is typed."""
    assert words("python main.py", script) == ["/v/bin/python", path.format(cwd=Path.cwd())]


def test_a_module_is_named_as_such() -> None:
    """The interpreter that it is installed for is named by its path."""
    expected = ["/v/bin/python", "-m", "gemini_batch"]

    assert words("python -m gemini_batch", "/v/lib/gemini_batch/__main__.py") == expected


@pytest.mark.parametrize(
    ("found", "start"),
    [
        ("/v/bin/gemini-batch", "gemini-batch"),
        ("/other/bin/gemini-batch", "/v/bin/gemini-batch"),
        (None, "/v/bin/gemini-batch"),
    ],
)
def test_the_installed_command_is_named_so_that_it_is_found(found: str | None, start: str) -> None:
    """By its name where the shell finds this one, by its path otherwise."""
    assert words("gemini-batch", "/v/bin/gemini-batch", found) == [start]
