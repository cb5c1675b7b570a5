"""Rules of settings/sources.py: values without what came along with them, and paths in an unknown home."""

from pathlib import Path

import pytest

from config import Settings, load
from errors import UsageError

KEY = "AIzaSyExample-0123456789_abcdefgh"
WRAPPINGS = {
    "double": f'"{KEY}"',
    "single": f"'{KEY}'",
    "both": f"\"'{KEY}'\"",
    "typographic": f"\u201c{KEY}\u201d",
    "backticks": f"`{KEY}`",
    "blanks within": f'" {KEY} "',
    "a line's end": f'"{KEY}"\r\n',
    "no width": f"\u200b{KEY}\ufeff",
    "no break": f"{KEY}\u00a0",
}


def settings_of(folder: Path, env: dict[str, str], *dotenv: Path) -> Settings:
    """Load the settings of a run."""
    argv = ["--input-dir", str(folder), "--prompt", "Describe"]
    settings = load(argv, env=env, dotenv_paths=dotenv)
    assert isinstance(settings, Settings)
    return settings


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
@pytest.mark.parametrize("value", WRAPPINGS.values(), ids=WRAPPINGS)
def test_a_key_is_taken_out_of_its_quotes(tmp_path: Path, name: str, value: str) -> None:
    """What ``docker run --env-file``, cron or a web page leaves around a key is no part of it."""
    api_key = settings_of(tmp_path, {name: value}).api_key

    assert api_key is not None
    assert api_key.get_secret_value() == KEY


def test_quotes_around_other_values(tmp_path: Path) -> None:
    """A quoted path makes no folder whose name has quotes, in the environment and in ``.env``."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("""MAX_COST='"2.50"'\nGEMINI_MODEL="gemini-pro"\n""")
    env = {"GEMINI_API_KEY": KEY, "OUTPUT_DIR": f'"{tmp_path / "out"}"', "LOG_LEVEL": "'quiet'"}

    settings = settings_of(tmp_path, env, dotenv)

    assert settings.output_dir == tmp_path / "out"
    assert (settings.quiet, str(settings.max_cost), settings.model) == (True, "2.50", "gemini-pro")


@pytest.mark.parametrize("variable", ["OUTPUT_DIR", "LOG_FILE", "GEMINI_BATCH_STATE_DIR", "PROMPT_EDITS"])
def test_a_path_in_an_unknown_home(tmp_path: Path, variable: str) -> None:
    """A ``~`` that stands for no folder is an error that names the variable."""
    with pytest.raises(UsageError, match=rf"^{variable} in the environment must be a path .*see HOME"):
        settings_of(tmp_path, {"GEMINI_API_KEY": KEY, variable: "~nobody-here/x"})
