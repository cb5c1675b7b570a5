"""Rules of docs/job-file.md: its job file is one, and its errors are the program's."""

import re
from pathlib import Path

import pytest

from config import Settings, load
from errors import UsageError
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "job-file.md").read_text(encoding="utf-8")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Save the page's job file, with what it names."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "caption.txt").write_text("Describe it.", encoding="utf-8")
    found = re.search(r"```toml\n(# nightly.*?)```", PAGE, re.DOTALL)
    assert found
    path = tmp_path / "nightly.toml"
    path.write_text(found[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path


def test_the_example_is_a_job(job: Path) -> None:
    """Each line of it is in force."""
    settings = load(["--job", job.name], env={"GEMINI_API_KEY": "k"}, dotenv_paths=[])

    assert isinstance(settings, Settings)
    assert (settings.prompt, settings.quiet, settings.include) == ("Describe it.", True, ("*.jpg", "*.png"))


def test_the_error_is_what_the_program_says(job: Path) -> None:
    """A misspelled cap, as the page tells it."""
    text = job.read_text(encoding="utf-8").replace("max-cost ", "max-costs ")
    job.write_text(text.replace("# nightly.toml\n", ""), encoding="utf-8")
    told = re.search(r"`(nightly\.toml, line \d+.*?)`", PAGE)
    assert told

    with pytest.raises(UsageError) as caught:
        load(["--job", job.name], env={"GEMINI_API_KEY": "k"}, dotenv_paths=[])

    assert re.sub(r"line \d+", "line", str(caught.value)) == re.sub(r"line \d+", "line", told[1])


def test_every_command_of_the_page_is_understood(job: Path) -> None:
    """Its flags are the program's."""
    commands = re.findall(r"^python main\.py (.*?)(?:\s+#.*)?$", PAGE, re.MULTILINE)

    assert len(commands) == 3
    for command in commands:
        load(command.split(), env={"GEMINI_API_KEY": "k"}, dotenv_paths=[])
