"""Rules of settings/variable_names.py: slips are found, names of other programs are left alone."""

from pathlib import Path

import pytest

from config import Settings, load
from errors import UsageError
from settings.options import OPTIONS
from settings.variable_names import count_slips, find_misspellings

SLIPS = {
    "MAX_COSTS": "MAX_COST",
    "MAXCOST": "MAX_COST",
    "MAX-COST": "MAX_COST",
    "max_cost": "MAX_COST",
    "MAX_COTS": "MAX_COST",
    "MX_COST": "MAX_COST",
    "COST_MAX": "MAX_COST",
    "MAX_COST_USD": "MAX_COST",
    "GEMINI_MAX_COST": "MAX_COST",
    "GEMINI_BATCH_MAX_COST": "MAX_COST",
    "MAX_REQUEST": "MAX_REQUESTS",
    "MAX_RETRY": "MAX_RETRIES",
    "MAX_CONCURRENT": "MAX_CONCURRENT_REQUESTS",
    "MAX_CONCURENT_REQUESTS": "MAX_CONCURRENT_REQUESTS",
    "REQUEST_PER_MINUTE": "REQUESTS_PER_MINUTE",
    "RPM": "REQUESTS_PER_MINUTE",
    "TPM": "TOKENS_PER_MINUTE",
    "REQUEST_TIMEOUT_SECONDS": "REQUEST_TIMEOUT",
    "GEMINI_TIMEOUT": "REQUEST_TIMEOUT",
    "OPTIMISER_MODEL": "OPTIMIZER_MODEL",
    "ENABLE_PROMPT_OPTIMISATION": "ENABLE_PROMPT_OPTIMIZATION",
    "DRYRUN": "DRY_RUN",
    "DEADLNE": "DEADLINE",
    "GRACE_SECONDS": "GRACE",
    "STATE_DIR": "GEMINI_BATCH_STATE_DIR",
    "API_BASE_URL": "GEMINI_API_BASE_URL",
    "GEMNI_API_KEY": "GEMINI_API_KEY",
    "GEMINI_APIKEY": "GEMINI_API_KEY",
}
OTHERS = [
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TERM", "USER", "SHELL", "PWD", "HOSTNAME", "EDITOR",
    "PROMPT_COMMAND", "PS1", "MAIL", "TMPDIR", "TRACE", "OPENAI_API_KEY", "ANTHROPIC_API_KEY",
    "GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS", "GEMINI_SANDBOX",
    "GUNICORN_MAX_REQUESTS_JITTER", "UVICORN_LOG_LEVEL", "CELERY_LOG_FILE", "MAX_TOKENS", "MAX_UPLOAD_SIZE",
    "MAX_WORKERS", "DATABASE_URL", "REDIS_URL", "BASE_URL", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE",
    "RETRIES", "MAX_HEAP", "DEBUG", "CI", "BUDGET", "LOG_FORMAT", "LOG_DIR", "OUTPUT_FORMAT", "ARCHIVE_DIR",
    "REQUEST_ID", "FAIL_FAST", "FAIL_COLOR", "WAIT_HOSTS", "KEEP", "PROMPT_DIR",
]  # fmt: skip


def found_in(name: str) -> str | None:
    """Return what one name was meant to be."""
    return next((one.meant for one in find_misspellings([name], ())), None)


@pytest.mark.parametrize(("name", "meant"), SLIPS.items())
def test_a_slip_is_found(name: str, meant: str) -> None:
    """Letters too many, missing or swapped, the flag's name, a unit, a prefix: the variable is named."""
    assert found_in(name) == meant


@pytest.mark.parametrize("name", OTHERS)
def test_the_names_of_others_are_left_alone(name: str) -> None:
    """Whatever else stands in an environment is no slip."""
    assert found_in(name) is None


def test_the_right_names_are_no_slips() -> None:
    """No variable of the program is taken for a misspelling of another one."""
    variables = [option.variable for option in OPTIONS if option.variable]

    assert list(find_misspellings(variables, ())) == []


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [("", "", 0), ("AB", "AB", 0), ("AB", "", 2), ("ABC", "ACB", 1), ("COSTS", "COST", 1), ("CA", "ABC", 3)],
)
def test_the_distance_of_two_names(one: str, other: str, slips: int) -> None:
    """Each letter added, left out, replaced or swapped with its neighbor counts once, either way."""
    assert count_slips(one, other) == count_slips(other, one) == slips


def load_settings(folder: Path, env: dict[str, str], dotenv: str) -> Settings:
    """Load the settings of a run with an environment and a ``.env`` file."""
    (folder / ".env").write_text(dotenv)
    argv = ["--input-dir", str(folder), "--output-dir", str(folder / "out"), "--prompt", "Describe"]
    settings = load(argv, env={"GEMINI_API_KEY": "key", **env}, dotenv_paths=[folder / ".env"])
    assert isinstance(settings, Settings)
    return settings


@pytest.mark.parametrize(("name", "meant"), [("MAX_COSTS", "MAX_COST"), ("RPM", "REQUESTS_PER_MINUTE")])
def test_a_slip_in_a_dotenv_file_ends_the_program(tmp_path: Path, name: str, meant: str) -> None:
    """A cap that is not in force must not go unnoticed; the sentence names both names and no value."""
    with pytest.raises(
        UsageError, match=rf"{name} in .*\.env is no variable .* did you mean {meant}\?"
    ) as error:
        load_settings(tmp_path, {}, f"{name}=12345\n")

    assert "12345" not in str(error.value)


@pytest.mark.parametrize(
    ("env", "dotenv", "named"),
    [
        ({"MAX_COSTS": "1"}, "", "MAX_COSTS"),
        ({"DRYRUN": "1"}, "", "DRYRUN"),
        ({"LOGLEVEL": "debug", "MODEL": "x", "PROMPT": "$ ", "FORCE": "1", "INPUT_DIR": "x"}, "", None),
        ({}, "MODEL=x\n", "MODEL"),
        ({}, "FORCE=1\n", "FORCE"),
        ({}, "INPUT_DIR=x\n", None),
        ({"MAX_COSTS": ""}, "MAX_COSTS=\n", None),
        ({"GEMINI_API_KEY_2": "another"}, "GEMINI_API_KEYS=old\n", None),
        ({"MAX_COST": "1"}, "MAX_COSTS=2\n", None),
    ],
    ids=str,
)
def test_what_may_belong_to_others_is_a_warning(
    tmp_path: Path, env: dict[str, str], dotenv: str, named: str | None
) -> None:
    """The environment is everybody's, and so are words like MODEL: a warning, or none if no harm is done."""
    notices = load_settings(tmp_path, env, dotenv).notices

    assert [one.split()[0] for one in notices] == ([named] if named else [])
