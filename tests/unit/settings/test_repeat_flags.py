"""Rules of settings/repeat_flags.py: typed in another directory, the flags mean what was meant here."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from config import Settings, load

KEY = {"GEMINI_API_KEY": "some-key"}
NOT_REPEATED = {
    "api_key",
    "repeat_flags",
    "notices",
    "retry_failed",
    "only",
    "force",
    "ping_url",
    "log_level",
    "quiet",
}
"""Secrets, and what the advice itself decides."""


def meant(settings: Settings) -> dict[str, object]:
    """Return what decides a run, with absolute paths."""
    return {
        name: getattr(settings, name).absolute()
        if isinstance(getattr(settings, name), Path)
        else getattr(settings, name)
        for name in Settings._fields
        if name not in NOT_REPEATED
    }


def load_(argv: Sequence[str], env: Mapping[str, str], dotenv_paths: Sequence[Path]) -> Settings:
    """Load the settings of a run."""
    settings = load(argv, env=KEY | dict(env), dotenv_paths=dotenv_paths)
    assert isinstance(settings, Settings)
    return settings


def load_here(*argv: str, env: Mapping[str, str] | None = None, dotenv: str = "") -> Settings:
    """Load settings as the program does, in the current directory."""
    Path(".env").write_text(dotenv, encoding="utf-8")
    prompt = () if "--prompt" in " ".join(argv) else ("--prompt", "x")
    return load_(["--input-dir", "photos", *prompt, *argv], env or {}, [Path(".env")])


@pytest.fixture
def two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with photos and a prompt, in which the program is started, and another one."""
    for folder in ("here/photos", "there"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "here" / "ask.txt").write_text("Describe it.", encoding="utf-8")
    (tmp_path / "here" / "edits.toml").write_text(
        '[edits.mine]\nclasses = ["blocked"]\nappend = "Be kind."\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    return tmp_path / "there"


@pytest.mark.parametrize(
    ("argv", "env", "dotenv"),
    [
        ([], {}, ""),
        (["--output-dir", "out", "--state-dir", "state", "--log-file", "logs/x.log"], {}, ""),
        (["--output-dir=~/out"], {}, ""),
        (["--prompt", "@ask.txt"], {}, ""),
        (["--prompt", "@@home, sweet home"], {}, ""),
        (["--prompt=-x --force"], {}, ""),
        (["--prompt", 'don\'t "say" $HOME\n\tä `x` \\'], {}, ""),
        (["--model", "models/gemini-9", "--max-concurrent", "7", "--timeout", "90s"], {}, ""),
        (["--max-cost", "2.50", "--max-requests", "9", "--deadline", "06:00", "--fail-on", "20%"], {}, ""),
        (["--enable-prompt-optimization", "--max-prompt-edits", "2"], {}, ""),
        (["--dry-run", "--archive-format", "zip", "--log-json"], {}, ""),
        ([], {"OUTPUT_DIR": "elsewhere", "MAX_RETRIES": "2"}, ""),
        ([], {}, "OUTPUT_DIR=from-file\nGEMINI_MODEL=gemini-9\nENABLE_PROMPT_OPTIMIZATION=yes\n"),
        (["--max-retries", "5"], {}, "MAX_RETRIES=1\n"),
        (["--no-dry-run"], {}, "DRY_RUN=true\n"),
        (
            ["--api-base-url", "http://127.0.0.1:9/v1"],
            {"TOKENS_PER_MINUTE": "2000"},
            "REQUESTS_PER_MINUTE=4\n",
        ),
    ],
)
def test_the_flags_mean_the_same_elsewhere(
    two_folders: Path, argv: list[str], env: dict[str, str], dotenv: str
) -> None:
    """Without the environment and the .env file that were in force, the settings are the same."""
    here = load_here(*argv, env=env, dotenv=dotenv)

    expected = meant(here)
    os.chdir(two_folders)
    assert meant(load_(here.repeat_flags, {}, [])) == expected


def test_they_hold_against_what_lies_there(two_folders: Path) -> None:
    """A flag that overrules a file here overrules the same file where the command is typed."""
    here = load_here("--no-dry-run", "--max-retries", "5", dotenv="DRY_RUN=true\nMAX_RETRIES=1\n")

    again = load_(here.repeat_flags, {}, [Path(".env")])

    assert two_folders.is_dir()
    assert (again.dry_run, again.max_retries) == (False, 5)


def test_secrets_and_what_was_selected_are_left_out(two_folders: Path) -> None:
    """Neither the key, nor the address of --ping, nor the images of this run stand in a report."""
    selected = ("--only", "blocked", "--force", "--retry-failed", "--quiet")
    here = load_here(
        "--ping", "https://hc-ping.com/1f2e", *selected, env={"PING_URL": "https://hc-ping.com/3d4c"}
    )

    words = " ".join(here.repeat_flags)
    assert two_folders.is_dir()
    assert not [one for one in ("1f2e", "3d4c", "some-key", "--only", "--force", "--retry") if one in words]
    assert "--quiet" not in words


def test_what_is_the_default_is_left_out(two_folders: Path) -> None:
    """The command stays short: only the two required flags, and the output directory as a full path."""
    here = load_here(dotenv="MAX_RETRIES=5\nDRY_RUN=false\nFAIL_ON=any\n")

    folder = two_folders.parent / "here"
    assert here.repeat_flags == (
        *("--input-dir", str(folder / "photos"), "--prompt", "x", "--output-dir", str(folder / "output")),
    )
