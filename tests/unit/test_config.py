"""Which settings are in force, and what is said about a wrong one?"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import pytest

from config import VERSION, ArchiveFormat, Settings, StatusRequest, load
from errors import ErrorKind, UsageError
from settings import argument_parser
from settings.options import OPTIONS
from tests.support.paths import ROOT

KEY = "AIzaSyExample0123456789"
UP_TO_AN_HOUR = "a duration from 1s to 1h, such as 90s, 30m or 1h30m"


class Load(Protocol):
    """Loads with an existing input directory, a prompt and a key, unless told otherwise."""

    def __call__(
        self, *argv: str, env: Mapping[str, str] | None = None, dotenv_paths: Sequence[Path] = ()
    ) -> Settings:
        """Return the settings, or raise as ``config.load`` does."""


@pytest.fixture
def load_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Return a loader that works in an empty directory with an input directory ``photos``."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()

    def load_(
        *argv: str, env: Mapping[str, str] | None = None, dotenv_paths: Sequence[Path] = ()
    ) -> Settings:
        required = ["--input-dir", "photos", "--prompt", "Describe"]
        settings = load(
            [*required, *argv], env={"GEMINI_API_KEY": KEY} | dict(env or {}), dotenv_paths=dotenv_paths
        )
        assert isinstance(settings, Settings)
        return settings

    return load_


def usage_error(
    load_with: Load, *argv: str, env: Mapping[str, str] | None = None, dotenv: str | None = None
) -> str:
    """Return the sentence with which the settings are refused."""
    paths = []
    if dotenv is not None:
        paths = [Path(".env")]
        paths[0].write_text(dotenv, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_with(*argv, env=env, dotenv_paths=paths)
    return str(caught.value)


def test_defaults(load_with: Load) -> None:
    """Without any setting the documented defaults hold."""
    settings = load_with()

    assert settings.public_options() == {
        "job": None,
        "input_dir": "photos",
        "output_dir": "output",
        "archive_format": "none",
        "model": "gemini-3.5-flash-lite",
        "max_concurrent": 5,
        "max_retries": 5,
        "timeout_s": 180.0,
        "max_timeout_s": 600.0,
        "outage_patience_s": 900.0,
        "max_wait_s": 900.0,
        "max_image_size": None,
        "rpm": None,
        "tpm": None,
        "strip_metadata": False,
        "max_requests": None,
        "max_cost": None,
        "state_dir": None,
        "enable_prompt_optimization": False,
        "prompt_edits": None,
        "prompt_keep": None,
        "max_prompt_edits": 4,
        "optimizer_model": None,
        "optimizer_max_cost": 0.25,
        "model_catalogue": None,
        "api_base_url": None,
        "log_level": "INFO",
        "quiet": False,
        "log_file": None,
        "log_json": False,
        "include": None,
        "exclude": None,
        "newer_than_s": None,
        "input_list": None,
        "null_separated": False,
        "sample": None,
        "seed": 0,
        "limit": None,
        "retry_failed": False,
        "only": None,
        "force": False,
        "keep_answers": False,
        "expect_output": False,
        "new_output": False,
        "fail_on": "any",
        "deadline": None,
        "max_duration_s": None,
        "grace_s": 30.0,
        "wait_lock_s": 0.0,
        "no_lock": False,
        "dry_run": False,
    }


@pytest.mark.parametrize(
    ("flags", "variables", "expected"),
    [
        pytest.param(["--max-retries", "1"], ("2", "3", "4"), 1, id="flag-first"),
        pytest.param([], ("2", "3", "4"), 2, id="then-the-environment"),
        pytest.param([], ("", "3", "4"), 3, id="then-the-first-dotenv"),
        pytest.param([], ("  ", "", "4"), 4, id="then-the-next-dotenv"),
        pytest.param([], ("", "", ""), 5, id="then-the-default"),
    ],
)
def test_precedence(load_with: Load, flags: list[str], variables: tuple[str, ...], expected: int) -> None:
    """A flag goes before the environment, then each .env, then the default; an empty variable is unset."""
    environment, *files = variables
    paths = [Path("a.env"), Path("b.env")]
    for path, value in zip(paths, files, strict=True):
        path.write_text(f"MAX_RETRIES={value}\n", encoding="utf-8")

    settings = load_with(*flags, env={"MAX_RETRIES": environment}, dotenv_paths=paths)

    assert settings.max_retries == expected


@pytest.mark.parametrize(
    ("said", "name", "value"),
    [
        ("OUTPUT_DIR=results", "output_dir", "results"),
        ("MAX_CONCURRENT_REQUESTS=1000", "max_concurrent", 1000),
        ("MAX_RETRIES=0", "max_retries", 0),
        ("ENABLE_PROMPT_OPTIMIZATION=yes", "enable_prompt_optimization", True),
        ("PROMPT_KEEP=describe ,", "prompt_keep", "describe"),
        ("MAX_PROMPT_EDITS=0", "max_prompt_edits", 0),
        ("OPTIMIZER_MAX_COST=1.5", "optimizer_max_cost", 1.5),
        ("ARCHIVE_FORMAT=ZIP", "archive_format", "zip"),
        ("DRY_RUN=on", "dry_run", True),
        ("GEMINI_MODEL=models/gemini-9", "model", "models/gemini-9"),
        ("REQUEST_TIMEOUT=12.5", "timeout_s", 12.5),
        ("MAX_REQUEST_TIMEOUT=20m", "max_timeout_s", 1_200.0),
        ("OUTAGE_PATIENCE=90", "outage_patience_s", 90.0),
        ("MAX_WAIT=2h", "max_wait_s", 7_200.0),
        ("MAX_IMAGE_SIZE=4096", "max_image_size", 4_096),
        ("REQUESTS_PER_MINUTE=0.5", "rpm", 0.5),
        ("TOKENS_PER_MINUTE=250000", "tpm", 250_000),
        ("MAX_REQUESTS=1500", "max_requests", 1_500),
        ("MAX_COST=0.01", "max_cost", 0.01),
        ("GEMINI_BATCH_STATE_DIR=kept/here", "state_dir", "kept/here"),
        ("DEADLINE=6:00", "deadline", "06:00"),
        ("MAX_DURATION=5h", "max_duration_s", 18_000.0),
        ("GEMINI_API_BASE_URL=http://127.0.0.1:8080/v/", "api_base_url", "http://127.0.0.1:8080/v"),
        ("LOG_LEVEL=quiet", "quiet", True),
        ("LOG_FILE=logs/run.log", "log_file", "logs/run.log"),
        ("LOG_JSON=true", "log_json", True),
        ("FAIL_ON=20%", "fail_on", "20%"),
        ("GRACE=5", "grace_s", 5.0),
        ("WAIT_LOCK=30m", "wait_lock_s", 1_800.0),
        ("NO_LOCK=yes", "no_lock", True),
        ("KEEP_ANSWERS=yes", "keep_answers", True),
        ("EXPECT_OUTPUT=on", "expect_output", True),
        ("STRIP_METADATA=on", "strip_metadata", True),
        ("INCLUDE_PATTERNS=*.jpg, !b.jpg", "include", "*.jpg,!b.jpg"),
        ("EXCLUDE_PATTERNS=drafts/", "exclude", "drafts/"),
        ("NEWER_THAN=2d", "newer_than_s", 172_800.0),
        ("GEMINI_SYSTEM_INSTRUCTION=Be brief.", "system_instruction", "Be brief."),
        ("GEMINI_TEMPERATURE=0", "temperature", 0.0),
        ("GEMINI_TOP_P=0.5", "top_p", 0.5),
        ("GEMINI_SEED=-2147483648", "seed_model", -2147483648),
        ("GEMINI_MAX_OUTPUT_TOKENS=300", "max_output_tokens", 300),
        ("GEMINI_THINKING_LEVEL=Low", "thinking_level", "LOW"),
        ("GEMINI_MEDIA_RESOLUTION=ultra_high", "media_resolution", "ULTRA_HIGH"),
        ("GEMINI_ASPECT_RATIO=KEEP", "aspect_ratio", "keep"),
        ("GEMINI_IMAGE_SIZE=2k", "image_size", "2K"),
    ],
)
def test_every_variable(load_with: Load, said: str, name: str, value: object) -> None:
    """Every variable sets its setting."""
    settings = load_with(env=dict([said.split("=")]))

    assert settings.public_options()[name] == value


def test_every_variable_is_tried_above() -> None:
    """The table above leaves none out, but for secrets and a file, which have their own tests."""
    tried = {arguments[0].split("=")[0] for arguments in test_every_variable.pytestmark[0].args[1]}  # type: ignore[attr-defined]

    apart = {"GEMINI_API_KEY", "GOOGLE_API_KEY", "PING_URL", "PROMPT_EDITS", "OPTIMIZER_MODEL"}
    apart |= {"GEMINI_SAFETY", "GEMINI_MODEL_CATALOGUE"}
    assert tried | apart == {one.variable for one in OPTIONS if one.variable}


def test_edits_come_from_a_file_that_is_read_at_once(load_with: Load) -> None:
    """A mistake in it ends the program before anything is asked, in one sentence that names the flag."""
    Path("own.toml").write_text('[[edit]]\nname = "mine"\nserves = ["blocked"]\ntemplate = "{core}"\n')
    Path("bad.toml").write_text('[[edit]]\nname = "mine"\nserves = ["weather"]\ntemplate = "{core}"\n')

    assert load_with(env={"PROMPT_EDITS": "own.toml"}).prompt_edits == Path("own.toml")
    assert 'serves "weather"' in usage_error(load_with, "--prompt-edits", "bad.toml")
    absent = usage_error(load_with, "--prompt-edits", "absent.toml")
    assert absent.startswith("--prompt-edits: absent.toml: cannot be read")


def test_words_to_keep_stand_in_the_prompt(load_with: Load) -> None:
    """A phrase that the prompt does not say is a slip, and is told."""
    argv = ["--prompt", "Paint the red barn, with snow"]

    assert load_with(*argv, "--prompt-keep", "red barn, snow").prompt_keep == ("red barn", "snow")
    assert '"blue"' in usage_error(load_with, *argv, "--prompt-keep", "red barn,blue")


def test_a_model_is_asked_for_words_only_where_prompts_are_repaired(load_with: Load) -> None:
    """Anywhere else it would never be asked, and that is told; off is the default."""
    named = {"OPTIMIZER_MODEL": "gemini-3.8-flash", "ENABLE_PROMPT_OPTIMIZATION": "yes"}

    assert load_with().optimizer_model is None
    assert load_with(env=named).optimizer_model == "gemini-3.8-flash"
    without = usage_error(load_with, "--optimizer-model", "gemini-3.8-flash")
    assert without.startswith("--optimizer-model must be used together with --enable-prompt-optimization")
    assert "--max-prompt-edits of at least 1" in usage_error(load_with, "--max-prompt-edits", "0", env=named)


def test_the_pings_url_is_a_secret(load_with: Load) -> None:
    """Who knows the URL can report success: it is set, and told to nobody."""
    settings = load_with(env={"PING_URL": "https://hc.example/7c9e-secret"})

    assert settings.ping_url == "https://hc.example/7c9e-secret"
    assert "7c9e-secret" not in f"{settings!r}{settings.public_options()}"
    assert "7c9e-secret" not in usage_error(load_with, "--ping", "ftp://hc.example/7c9e-secret")


@pytest.mark.parametrize(
    ("words", "classes"),
    [("timeout", {ErrorKind.TIMEOUT}), (" Timeout, BLOCKED ,", {ErrorKind.TIMEOUT, ErrorKind.BLOCKED})],
)
def test_classes_to_ask_again(load_with: Load, words: str, classes: set[ErrorKind]) -> None:
    """``--only`` takes classes with commas between them."""
    assert load_with("--only", words).only == classes


@pytest.mark.parametrize("words", ["timeout,blockd", ",", " , ,"])
def test_an_unknown_class_is_refused_with_those_there_are(load_with: Load, words: str) -> None:
    """A slip in a class's name does not end in a run over something else."""
    said = usage_error(load_with, "--only", words)

    assert "--only" in said
    assert "blocked" in said


@pytest.mark.parametrize(
    ("words", "failed", "ended", "expected"),
    [
        ("any", 1, 100, True),
        ("any", 0, 100, False),
        ("none", 100, 100, False),
        ("5", 4, 100, False),
        ("5", 5, 100, True),
        ("20%", 19, 100, False),
        ("20%", 20, 100, True),
        ("0%", 0, 100, False),
        ("0%", 1, 100, True),
        ("100%", 99, 100, False),
        ("100%", 100, 100, True),
    ],
)
def test_how_many_failures_count(
    load_with: Load, words: str, *, failed: int, ended: int, expected: bool
) -> None:
    """``--fail-on`` takes any, none, a number of images, or a share of those that came to an end."""
    assert load_with("--fail-on", words).fail_on.is_met(failed, ended) is expected


def test_status_needs_nothing_else(tmp_path: Path) -> None:
    """``--status`` is answered without input, prompt or key; the directory comes as it always does."""
    asked = load(["--status"], env={"OUTPUT_DIR": str(tmp_path)}, dotenv_paths=())

    assert asked == StatusRequest(output_dir=tmp_path)


@pytest.mark.parametrize("word", ["true", "1", "yes", "on", "TRUE", "Yes", " on "])
def test_words_for_yes(load_with: Load, word: str) -> None:
    """A switch is turned on by any of the usual words."""
    assert load_with(env={"DRY_RUN": word}).dry_run


@pytest.mark.parametrize("word", ["false", "0", "no", "off", "False", "NO"])
def test_words_for_no(load_with: Load, word: str) -> None:
    """A switch stays off by any of the usual words."""
    assert not load_with(env={"DRY_RUN": word}).dry_run


def test_a_flag_turns_off_what_the_environment_turned_on(load_with: Load) -> None:
    """Every switch has a twin that says no, so that a flag can beat the environment."""
    env = {"DRY_RUN": "true", "ENABLE_PROMPT_OPTIMIZATION": "true"}

    settings = load_with("--no-dry-run", "--no-enable-prompt-optimization", env=env)

    assert (settings.dry_run, settings.enable_prompt_optimization) == (False, False)


@pytest.mark.parametrize(
    ("argv", "variable", "level"),
    [
        ([], "", "INFO"),
        (["-q"], "", "WARNING"),
        (["--quiet"], "verbose", "WARNING"),
        (["-v"], "quiet", "DEBUG"),
        (["--verbose"], "", "DEBUG"),
        ([], "Verbose", "DEBUG"),
        ([], "normal", "INFO"),
        ([], "DEBUG", "DEBUG"),
        ([], "info", "INFO"),
        ([], "Warning", "WARNING"),
        ([], "ERROR", "WARNING"),
    ],
)
def test_how_much_is_said(load_with: Load, argv: list[str], variable: str, level: str) -> None:
    """The level comes from a flag, or from LOG_LEVEL in our words or in those of other programs."""
    settings = load_with(*argv, env={"LOG_LEVEL": variable})

    assert (settings.log_level, settings.quiet) == (level, level == "WARNING")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--max-concurrent", "0"], "--max-concurrent must be a whole number from 1 to 1000, not '0'"),
        (["--max-concurrent", "1001"], "--max-concurrent must be a whole number from 1 to 1000, not '1001'"),
        (["--max-retries", "-1"], "--max-retries must be a whole number from 0 to 100, not '-1'"),
        (["--max-retries", "many"], "--max-retries must be a whole number from 0 to 100, not 'many'"),
        (["--max-retries", "2.5"], "--max-retries must be a whole number from 0 to 100, not '2.5'"),
        (["--timeout", "0.5"], f"--timeout must be {UP_TO_AN_HOUR}, not '0.5'"),
        (["--timeout", "nan"], f"--timeout must be {UP_TO_AN_HOUR}, not 'nan'"),
        (["--timeout", "inf"], f"--timeout must be {UP_TO_AN_HOUR}, not 'inf'"),
        (["--timeout", "9"], "--timeout must be at least 10 seconds, as Google's own host asks, not '9'"),
        (
            ["--max-image-size", "63"],
            "--max-image-size must be a whole number from 64 to 65500, not '63'",
        ),
        (["--rpm", "0"], "--rpm must be a number of requests from 0.01 to 100000, not '0'"),
        (["--tpm", "250"], "--tpm must be a whole number from 1000 to 1000000000, not '250'"),
        (["--max-timeout", "2h"], f"--max-timeout must be {UP_TO_AN_HOUR}, not '2h'"),
        (["--grace", "1h30"],
         "--grace must be a duration from 0s to 1h, such as 90s, 30m or 1h30m, not '1h30'"),
        (["--max-duration", "0"],
         "--max-duration must be a duration from 1s to 31d, such as 90s, 30m or 1h30m, not '0'"),
        (["--deadline", "24:00"], "--deadline must be a time of day from 00:00 to 23:59, not '24:00'"),
        (["--deadline", "6"], "--deadline must be a time of day from 00:00 to 23:59, not '6'"),
        (["--max-requests", "0"], "--max-requests must be a whole number from 1 to 1000000000, not '0'"),
        (["--max-cost", "0"],
         "--max-cost must be a sum of US dollars from 0.01 to 1000000, such as 2.50, not '0'"),
        (["--max-cost", "\u0661\u0662"],
         "--max-cost must be a sum of US dollars from 0.01 to 1000000, such as 2.50, not '\u0661\u0662'"),
        (["--rpm", "\u0661\u0662"],
         "--rpm must be a number of requests from 0.01 to 100000, not '\u0661\u0662'"),
        (["--max-cost", "NaN"],
         "--max-cost must be a sum of US dollars from 0.01 to 1000000, such as 2.50, not 'NaN'"),
        (["--fail-on", "500%"],
         "--fail-on must be any, none, a number or a percentage up to 100%, not '500%'"),
        (["--fail-on", "100.5%"],
         "--fail-on must be any, none, a number or a percentage up to 100%, not '100.5%'"),
        (["--archive-format", "rar"], "--archive-format must be zip, tar or none, not 'rar'"),
        (["--model", "a b"], "--model must be a model's name such as gemini-3.5-flash-lite, not 'a b'"),
        (["--model", "../x"], "--model must be a model's name such as gemini-3.5-flash-lite, not '../x'"),
        (["--output-dir", ""], "--output-dir must be a path, not ''"),
        (["--output-dir", "photos/../photos"],
         "--output-dir must be another directory than --input-dir, not 'photos/../photos'"),
        (["--input-dir", "nowhere"],
         "--input-dir must be a directory that can be read (No such file or directory), not 'nowhere'"),
        (["--prompt", " \n"], "--prompt must be a text of valid Unicode that is not empty, not ' \\n'"),
        (["--prompt", "caf\udce9"],
         "--prompt must be a text of valid Unicode that is not empty, not 'caf\\udce9'"),
    ],
)  # fmt: skip
def test_a_wrong_flag(load_with: Load, argv: list[str], sentence: str) -> None:
    """A wrong value is one sentence with the flag, what is allowed, and what was said."""
    assert usage_error(load_with, *argv) == sentence


def test_a_wrong_variable(load_with: Load) -> None:
    """A wrong variable is named as such, with the place where it stands."""
    assert usage_error(load_with, env={"MAX_RETRIES": "x"}) == (
        "MAX_RETRIES in the environment must be a whole number from 0 to 100, not 'x'"
    )
    assert usage_error(load_with, dotenv="LOG_LEVEL=loud\n") == (
        "LOG_LEVEL in .env must be quiet, normal or verbose, not 'loud'"
    )


def test_a_long_wrong_value_is_shortened(load_with: Load) -> None:
    """A refusal stays readable, however long the value is."""
    assert len(usage_error(load_with, "--max-retries", "9" * 5000)) < 200


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "--input-dir and --prompt must be given (see --help)"),
        (["--input-dir", "photos"], "--prompt must be given (see --help)"),
        (["--input-dir"],
         "--input-dir needs a value (write --input-dir=VALUE when the value begins with a dash)"),
        (["--outputdir=x"], "there is no option '--outputdir'; did you mean --output-dir?"),
        (["--max-retry", "3"], "there is no option '--max-retry'; did you mean --max-retries?"),
        (["--zzz"], "there is no option '--zzz' (see --help)"),
        (["-xSECRET"], "there is no option '-x' (see --help)"),
        (["--dry-run=SECRET"], "--dry-run/--no-dry-run takes no value"),
        (["-q", "-v"], "-v/--verbose: not allowed with argument -q/--quiet (see --help)"),
        (["--prompt", "two", "words"],
         "there is a word that belongs to no option; a prompt of several words needs quotes around it"),
    ],
)  # fmt: skip
def test_a_wrong_command_line(argv: list[str], sentence: str) -> None:
    """What argparse cannot understand is one sentence too, and repeats nothing that may be a key."""
    with pytest.raises(UsageError) as caught:
        load(argv, env={}, dotenv_paths=[])

    assert str(caught.value) == sentence


def test_flags_are_not_abbreviated() -> None:
    """A shortened flag is refused, so that a new flag never changes what an old command means."""
    with pytest.raises(UsageError, match="'--max-r'"):
        load(["--max-r", "3"], env={}, dotenv_paths=[])


@pytest.mark.parametrize("argv", [["--api-key", KEY], [f"--api-key={KEY}"], ["--gemini-api-key", KEY]])
def test_no_flag_carries_the_key(argv: list[str]) -> None:
    """A key on the command line is refused with the reason and the right place, and is not repeated."""
    with pytest.raises(UsageError, match=r"can be read by others .* set GEMINI_API_KEY") as caught:
        load(argv, env={}, dotenv_paths=[])

    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("env", "dotenv", "expected"),
    [
        pytest.param({"GEMINI_API_KEY": "one"}, "GEMINI_API_KEY=two", "one", id="environment-first"),
        pytest.param({"GEMINI_API_KEY": ""}, "GEMINI_API_KEY=two", "two", id="empty-is-unset"),
        pytest.param({"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "g"}, "", "g", id="google-when-no-gemini"),
        pytest.param({"GEMINI_API_KEY": "one", "GOOGLE_API_KEY": "g"}, "", "one", id="gemini-before-google"),
        pytest.param({"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "g"}, "GEMINI_API_KEY=two", "two",
                     id="a-key-meant-for-gemini-before-one-that-may-be-for-maps"),
        pytest.param({"GEMINI_API_KEY": " one\r\n"}, "", "one", id="stripped"),
        pytest.param({"GEMINI_API_KEY": ""}, 'export GEMINI_API_KEY="t$o#${HOME}"  # mine', "t$o#${HOME}",
                     id="taken-literally-from-dotenv"),
        pytest.param({"GEMINI_API_KEY": ""}, "\ufeffGEMINI_API_KEY=two\r\n", "two", id="dotenv-from-windows"),
    ],
)  # fmt: skip
def test_where_the_key_comes_from(load_with: Load, env: dict[str, str], dotenv: str, expected: str) -> None:
    """The key is GEMINI_API_KEY, wherever it stands, else GOOGLE_API_KEY."""
    Path(".env").write_bytes(dotenv.encode())

    settings = load_with(env=env, dotenv_paths=[Path("none.env"), Path(".env")])

    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == expected


def test_no_key(load_with: Load) -> None:
    """Without a key the refusal says how to set one; a dry run needs none."""
    env = {"GEMINI_API_KEY": ""}

    assert usage_error(load_with, env=env).startswith(
        "there is no API key: set GEMINI_API_KEY in the environment or in"
    )
    assert load_with("--dry-run", env=env).api_key is None


@pytest.mark.parametrize(
    "key",
    ["two words", "schlüssel", "a\x07b", 'half"', "'half", "Bearer key"],
    ids=["space", "not-ascii", "control", "a-quote", "half-a-pair", "a-header"],
)
def test_a_key_that_cannot_be_one(load_with: Load, key: str) -> None:
    """A key that no HTTP header could carry is refused before the first call, without repeating it."""
    assert usage_error(load_with, env={"GEMINI_API_KEY": key}) == (
        "GEMINI_API_KEY in the environment must be one word of printable ASCII characters without quotes, "
        "as Google issued it"
    )


def test_the_key_shows_nowhere(load_with: Load) -> None:
    """Neither the settings' own text nor what goes into the metadata holds the key."""
    settings = load_with()

    assert KEY not in repr(settings) + str(settings) + json.dumps(settings.public_options())


@pytest.mark.parametrize(
    ("argv", "env"),
    [
        pytest.param(["--model", f"{KEY}/"], {}, id="as-a-model"),
        pytest.param(["--prompt", f"@{KEY}"], {}, id="as-a-prompt-file"),
        pytest.param([], {"MAX_RETRIES": KEY}, id="in-another-variable"),
        pytest.param([], {"GEMINI_API_KEY": f"{KEY} {KEY}"}, id="twice-in-its-own"),
        pytest.param(["--api-base-url", "https://user:pass-word@host/"], {}, id="as-a-password-in-a-url"),
        pytest.param(["--api-base-url", f"https://host/?key={KEY}"], {}, id="in-a-query"),
    ],
)
def test_a_refusal_never_repeats_a_secret(load_with: Load, argv: list[str], env: dict[str, str]) -> None:
    """However a credential got into the wrong place, the sentence about it does not hold it."""
    sentence = usage_error(load_with, *argv, env=env)

    assert KEY not in sentence
    assert "pass-word" not in sentence


@pytest.mark.parametrize(
    "url",
    ["host", "ftp://host", "http://", "https://key@host", "https://h/?a=b", "https://h/?", "https://h/#x",
     "http://h:99999", "http://h:0", "http://h/a b", "http://h/\n", "http://[::1"],
)  # fmt: skip
def test_a_wrong_address(load_with: Load, url: str) -> None:
    """Another endpoint is an http(s) address with a host, and carries neither credentials nor a query."""
    assert usage_error(load_with, "--api-base-url", url) == (
        "--api-base-url must be an http:// or https:// address with a host and without user, password, "
        "query or fragment"
    )


def test_a_short_timeout_elsewhere(load_with: Load) -> None:
    """Only Google's own host asks for at least ten seconds."""
    short = ["--timeout", "1", "--api-base-url"]

    assert load_with(*short, "http://127.0.0.1:1").timeout_s == 1
    assert "at least 10" in usage_error(load_with, *short, "https://generativelanguage.googleapis.com")


@pytest.mark.parametrize(
    ("argv", "longest"),
    [
        (["--timeout", "5m"], 600),
        (["--timeout", "15m"], 900),
        (["--timeout", "15m", "--max-timeout", "20m"], 1_200),
        (["--timeout", "15m", "--max-timeout", "1m"], 900),
    ],
)
def test_no_call_may_take_less_than_its_first_try(load_with: Load, argv: list[str], longest: float) -> None:
    """A first try longer than ``--max-timeout`` raises it."""
    assert load_with(*argv).max_timeout_s == longest


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"One\nTwo\n", "One\nTwo", id="without-the-last-newline"),
        pytest.param(b"One\r\nTwo\r\n", "One\nTwo", id="with-the-newlines-of-windows"),
        pytest.param("\ufeffÄrger 🎨".encode(), "Ärger 🎨", id="with-a-byte-order-mark"),
        pytest.param(b"@home", "@home", id="not-read-twice"),
    ],
)
def test_a_prompt_from_a_file(load_with: Load, content: bytes, expected: str) -> None:
    """``@file`` is the file's text."""
    Path("p.txt").write_bytes(content)

    assert load_with("--prompt", "@p.txt").prompt == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "--prompt names a file that cannot be read: 'p.txt' (No such file or directory)"),
        (b"\xff\xd8\xff", "--prompt names a file that is not UTF-8 text: 'p.txt'"),
        (b"\n\n", "--prompt must be a text of valid Unicode that is not empty, not '@p.txt'"),
    ],
    ids=["missing", "a-picture", "empty"],
)
def test_a_prompt_file_that_is_none(load_with: Load, content: bytes | None, sentence: str) -> None:
    """A prompt file that is missing, binary or empty is refused by its name."""
    if content is not None:
        Path("p.txt").write_bytes(content)

    assert usage_error(load_with, "--prompt", "@p.txt") == sentence


@pytest.mark.parametrize("prompt", ["-not a flag", 'say "$HOME" and `x`', "two\nlines", "a@b"])
def test_a_prompt_is_taken_as_it_is(load_with: Load, prompt: str) -> None:
    """Nothing in a prompt is interpreted but a leading @."""
    assert load_with(f"--prompt={prompt}").prompt == prompt


def test_a_literal_at_sign(load_with: Load) -> None:
    """``@@`` stands for a leading @."""
    assert load_with("--prompt", "@@home").prompt == "@home"


def test_impossible_paths(load_with: Load) -> None:
    """A file or a dangling link is no directory, not even as a parent, and a directory is no log file."""
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")

    for output in ("file", "file/sub/sub", "dangling"):
        assert usage_error(load_with, "--output-dir", output).startswith(
            "--output-dir must be a directory, or a path"
        )
        assert usage_error(load_with, "--state-dir", output).startswith(
            "--state-dir must be a directory, or a path"
        )
    for log in ("photos", "file/run.log"):
        assert usage_error(load_with, "--log-file", log).startswith("--log-file must be a file, or a path")
    assert usage_error(load_with, "--input-dir", "file").startswith(
        "--input-dir must be a directory that can be read"
    )


def test_the_output_directory_may_lie_in_the_input_directory(load_with: Load) -> None:
    """Results may go below the images, and into directories that do not exist yet."""
    assert load_with("--output-dir", "photos/a/b").output_dir == Path("photos/a/b")


def test_the_home_directory_is_understood_everywhere(
    load_with: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tilde in a variable means what the shell would have made of it on the command line."""
    monkeypatch.setenv("HOME", str(Path.cwd()))

    assert load_with(env={"OUTPUT_DIR": "~/results"}).output_dir == Path.cwd() / "results"
    assert load_with(env={"GEMINI_BATCH_STATE_DIR": "~/kept"}).state_dir == Path.cwd() / "kept"


def test_an_unreadable_dotenv(load_with: Load) -> None:
    """A .env that is not text is refused by its name."""
    Path(".env").write_bytes(b"A=\xff")

    with pytest.raises(UsageError, match=r"^\.env is not UTF-8 text$"):
        load_with(dotenv_paths=[Path(".env")])


def test_the_process_environment_is_left_alone(load_with: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the given mapping is asked, and nothing is written back."""
    monkeypatch.setenv("MAX_RETRIES", "77")
    Path(".env").write_text("MAX_CONCURRENT_REQUESTS=7\n", encoding="utf-8")
    before = os.environb.copy()

    settings = load_with(dotenv_paths=[Path(".env")])

    assert (settings.max_retries, settings.max_concurrent) == (5, 7)
    assert os.environb == before


def test_the_fingerprint_follows_what_decides_an_answer(load_with: Load) -> None:
    """The model and the prompt change the fingerprint; how the work is done does not."""
    plain = load_with().fingerprint()
    same = load_with("--max-retries", "9", "--output-dir", "b", "--dry-run", "-q").fingerprint()
    limits = {
        "TOKENS_PER_MINUTE": "9000", "MAX_REQUESTS": "9", "MAX_COST": "9", "DEADLINE": "06:00",
        "MAX_DURATION": "9h", "MAX_REQUEST_TIMEOUT": "9m", "OUTAGE_PATIENCE": "9m", "MAX_WAIT": "9m",
        "GEMINI_BATCH_STATE_DIR": "kept",
    }  # fmt: skip
    limited = load_with(env=limits).fingerprint()
    others = {load_with("--model", "m").fingerprint(), load_with("--prompt", "Count").fingerprint()}

    assert same == limited == plain
    assert len(others | {plain}) == 3


def test_the_fingerprint_is_stable(load_with: Load) -> None:
    """Answers of earlier versions stay valid: this value may only change on purpose."""
    fingerprint = load_with("--model", "m", "--prompt", "Zähle").fingerprint()

    assert fingerprint == "bde7e0949d494b8daab763da1e293127bfe8960df510c207a49f2b7979928c63"


def test_public_options_are_printable(load_with: Load) -> None:
    """A path that is not UTF-8 can still be written into a UTF-8 document."""
    limits = ["--max-cost", "2.50", "--deadline", "06:05", "--max-duration", "1h30m"]
    options = load_with("--output-dir", "caf\udce9", "--archive-format", "tar", *limits).public_options()

    assert options["output_dir"] == "caf\\udce9"
    assert (options["max_cost"], options["deadline"], options["max_duration_s"]) == (2.5, "06:05", 5_400.0)
    assert json.loads(json.dumps(options)) == options


def test_settings_hold_real_types(load_with: Load) -> None:
    """What argparse and variables give as text arrives converted."""
    settings = load_with(
        *("--archive-format", "tar", "--timeout", "20", "--rpm", "30"),
        *("--deadline", "06:00", "--max-cost", "0.10"),
    )

    assert settings.archive_format is ArchiveFormat.TAR
    assert (settings.timeout_s, settings.rpm) == (20.0, 30.0)
    assert (settings.deadline, settings.max_cost) == (time(6), Decimal("0.1"))


def test_help_is_narrow_and_names_every_option() -> None:
    """The help fits 80 columns, and tells of each option its flag, its default and its variable."""
    text = argument_parser.build_parser(version=VERSION).format_help()
    joined = " ".join(text.split())

    assert max(map(len, text.splitlines())) <= 80
    for option in OPTIONS:
        assert (option.flag or "") in text
        assert (option.variable or "") in text
        assert "()" not in joined
        if option.flag and option.default is not None:
            assert f"default: {option.unset or option.default}" in joined


@pytest.mark.parametrize(
    ("argv", "begins"),
    [
        (["--help"], "usage: python main.py --input-dir"),
        (["--version"], f"gemini-batch-processor {VERSION}\n"),
    ],
)
def test_help_and_version_are_cheap(argv: list[str], begins: str) -> None:
    """Both end with code 0, on stdout, before anything heavy is imported."""
    heavy = (
        "pydantic pydantic_settings dotenv PIL aiohttp tqdm asyncio ssl sqlite3 json hashlib logging.handlers"
    )
    script = (
        "import sys, main\n"
        "try: main.main(sys.argv[1:])\n"
        f"finally: print({{*{heavy.split()}}} & {{*sys.modules}}, file=sys.stderr)"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script, *argv], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stderr) == (0, "set()\n")
    assert ran.stdout.startswith(begins)


def test_keep_answers_and_force_contradict_each_other(load_with: Load) -> None:
    """One leaves all answers, the other none: the error names both."""
    with pytest.raises(UsageError, match=r"--keep-answers .* without --force"):
        load_with("--keep-answers", "--force")
