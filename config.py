"""Settings of a run: read from all sources, checked together, complete and possible.

Named tuples and late imports keep ``--help`` cheap, see docs/performance.md.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from errors import ErrorKind, UsageError
from settings import argument_parser
from settings.argument_parser import DEFAULT_PROG
from settings.fail_on import FailOn
from settings.option import ArchiveFormat, Verbosity

if TYPE_CHECKING:
    from datetime import time
    from decimal import Decimal

    from settings.given_options import ModelOptions
    from settings.option import Typed
    from settings.sources import Source, Sources
    from settings.value_spec import SecretText

__all__ = ["VERSION", "ArchiveFormat", "FailOn", "Settings", "StatusRequest", "load"]

VERSION = "0.1.0"

_Values = Mapping[str, Any]
_SECRETS = {"api_key", "ping_url"}
_LOG_LEVELS = {Verbosity.QUIET: "WARNING", Verbosity.NORMAL: "INFO", Verbosity.VERBOSE: "DEBUG"}


class Settings(NamedTuple):
    """Everything the user decided, complete and valid; the bounds stand in ``options.OPTIONS``."""

    input_dir: Path
    job: Path | None
    prompt: str
    """The text itself, also where ``@file`` was given."""
    output_dir: Path
    archive_format: ArchiveFormat
    model: str
    max_concurrent: int
    max_retries: int
    timeout_s: float
    max_timeout_s: float
    """At least ``timeout_s``."""
    outage_patience_s: float
    max_wait_s: float
    rpm: float | None
    """A hard ceiling on requests per minute; None: the limit is learned."""
    tpm: int | None
    """The same for input tokens."""
    max_image_size: int | None
    """Pixels of the longer side of what is sent; None: images go as they are, if they can."""
    strip_metadata: bool
    max_requests: int | None
    max_cost: "Decimal | None"
    """US dollars."""
    state_dir: Path | None
    """None is the user's state directory."""
    enable_prompt_optimization: bool
    prompt_edits: Path | None
    """A file that was read once without a mistake; None: the bundled edits alone."""
    prompt_keep: tuple[str, ...]
    """Each stands in the prompt."""
    max_prompt_edits: int
    optimizer_model: str | None
    """Only where prompts are repaired; None: no model is asked for words."""
    optimizer_max_cost: "Decimal"
    """US dollars, within ``max_cost``."""
    model_options: "ModelOptions"
    model_catalogue: Path | None
    """A file that was read once without a mistake; None: the bundled catalogue alone."""
    api_base_url: str | None
    """Without a slash at its end; None is Google's own."""
    log_level: str
    """``WARNING``, ``INFO`` or ``DEBUG``."""
    quiet: bool
    log_file: Path | None
    log_json: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    newer_than_s: float | None
    input_list: str | None
    """A file, or ``-`` for the standard input."""
    null_separated: bool
    sample: int | None
    seed: int
    limit: int | None
    retry_failed: bool
    only: frozenset[ErrorKind]
    """Empty: no such limit."""
    force: bool
    keep_answers: bool
    expect_output: bool
    new_output: bool
    fail_on: FailOn
    deadline: "time | None"
    """On the local clock."""
    max_duration_s: float | None
    grace_s: float
    wait_lock_s: float
    no_lock: bool
    ping_url: str | None
    """A credential of its own: who knows it can report success."""
    dry_run: bool
    api_key: "SecretText | None"
    """None only in a dry run."""
    repeat_flags: tuple[str, ...]
    """Flags that repeat the run from any directory, see ``settings.repeat_flags``."""
    notices: tuple[str, ...] = ()
    """Sentences to warn of before the run: variables that are probably misspelled."""

    def __repr__(self) -> str:
        """Return all settings but the secrets."""
        shown = (name for name in self._fields if name not in _SECRETS)
        return f"Settings({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def fingerprint(self) -> str:
        """Return the SHA-256, in hex, of what decides an answer: model, options, prompt, size sent."""
        import hashlib
        import json

        # What is not given is left out, so that the answers of earlier versions still count.
        size = {"max_image_size": self.max_image_size} if self.max_image_size else {}
        deciding = {"model": self.model, "prompt": self.prompt, **size, **self.model_options.deciding()}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    def public_options(self) -> dict[str, str | int | float | bool | None]:
        """Return the settings by name, as they stand in the metadata.

        Without the key, and without the prompt, which stands there on its own.
        """
        from settings.plain_values import to_plain_value

        hidden = {"prompt", "repeat_flags", "notices", "model_options", *_SECRETS}
        plain = {name: to_plain_value(getattr(self, name)) for name in self._fields if name not in hidden}
        return plain | self.model_options.public()


class StatusRequest(NamedTuple):
    """The user does not want a run, only to know how far the results are."""

    output_dir: Path


class JobText(NamedTuple):
    """The user wants no run, only to see the settings in force, as a job file."""

    text: str


def load(
    argv: Sequence[str], *, env: Mapping[str, str], dotenv_paths: Sequence[Path], prog: str = DEFAULT_PROG
) -> Settings | StatusRequest | JobText:
    """Read and check the settings.

    Args:
        argv: the command line without the program's name.
        env: the environment; the process's own is neither asked nor changed.
        dotenv_paths: ``.env`` files that need not exist; where two set a variable, the first wins.
        prog: how the program was started, for ``--help``.

    Raises:
        UsageError: one sentence that names the flag or the variable and what is allowed.
        SystemExit: with code 0, after ``--help`` or ``--version`` was printed.
    """
    typed = argument_parser.parse(argv, version=VERSION, prog=prog)
    # Only now: --help and a wrong flag have ended already.
    from settings.sources import Source, Sources, check_requirements, read_dotenv, read_variables

    is_status_request = typed.pop(argument_parser.STATUS, False)
    is_print_request = typed.pop(argument_parser.PRINT_JOB, False)
    if is_status_request:  # what a run must be given, and have, is not asked for
        typed = {"input_dir": ".", "prompt": "-", **typed}
    else:
        check_requirements(argv)
    job = _read_job(typed)
    dotenv = [read_dotenv(path) for path in dotenv_paths]
    environment = read_variables(env, origin="the environment")
    sources = Sources((Source(origin="", values=typed), *job, environment, *dotenv))
    try:
        if is_status_request:
            return _status_request(sources)
        if is_print_request:
            from settings.job_file import format_job

            return JobText(text=format_job(sources, sources.merge()))
        return _settings(sources)
    except UsageError as error:
        raise UsageError(sources.remove_keys(str(error))) from error.__cause__


def _status_request(sources: "Sources") -> StatusRequest:
    from settings.paths import is_too_long

    output_dir = sources.merge()["output_dir"]
    if is_too_long(output_dir):
        raise sources.build_error("output_dir", "the output directory of a run")
    return StatusRequest(output_dir=output_dir)


def _read_job(typed: "Mapping[str, Typed]") -> "list[Source]":
    """Return the job file's settings, if one is named."""
    if "job" not in typed:
        return []
    from settings.job_file import read_job

    source = read_job(Path(str(typed["job"])).expanduser())
    if problem := argument_parser.find_missing({*typed, *source.values}):
        raise UsageError(problem)
    return [source]


def _settings(sources: "Sources") -> Settings:
    from settings.endpoint import read_base_url, read_ping_url, read_timeout_s
    from settings.given_options import ModelOptions, read_model_options
    from settings.paths import read_input_dir, read_log_file, read_output_dir, read_state_dir
    from settings.repeat_flags import build_repeat_flags

    values = sources.merge()
    keys = {name: values.pop(name) for name in ("gemini_api_key", "google_api_key")}
    checked = {
        "input_dir": read_input_dir(values, sources),
        "output_dir": read_output_dir(values, sources),
        "log_file": read_log_file(values, sources),
        **_prompt_settings(values, sources),
        "model_options": read_model_options(values, sources),
        "model_catalogue": _model_catalogue(values),
        "optimizer_model": _optimizer_model(values, sources),
        "api_base_url": read_base_url(values, sources),
        "timeout_s": read_timeout_s(values, sources),
        "max_timeout_s": max(values["max_timeout_s"], values["timeout_s"]),
        "state_dir": read_state_dir(values, sources),
        "ping_url": read_ping_url(values, sources),
        "null_separated": _null_separated(values, sources),
        "only": _only(values, sources),
        "keep_answers": _keep_answers(values, sources),
        "fail_on": FailOn.parse(values["fail_on"]),
        "api_key": _api_key(keys, sources, is_required=not values["dry_run"]),
        "log_level": _LOG_LEVELS[values["log_level"]],
        "quiet": values["log_level"] is Verbosity.QUIET,
        "repeat_flags": build_repeat_flags(sources.sources, values),
    }
    values = {name: value for name, value in values.items() if name not in ModelOptions._fields}
    return Settings(**(values | checked), notices=sources.check_variables())


def _prompt_settings(values: _Values, sources: "Sources") -> _Values:
    """Return the prompt, and what may be done to it."""
    from settings.prompt_text import read_prompt

    prompt = read_prompt(str(values["prompt"]), sources)
    keep = tuple(words for part in (values["prompt_keep"] or "").split(",") if (words := part.strip()))
    path = values["prompt_edits"]
    if keep or path:
        from prompts import edits

        edits.check_kept_words(prompt, keep)
    if path:
        try:
            edits.load(path)
        except UsageError as error:
            raise UsageError(f"--prompt-edits: {error}") from error
    return {"prompt": prompt, "prompt_keep": keep, "prompt_edits": path}


def _model_catalogue(values: _Values) -> Path | None:
    path: Path | None = values["model_catalogue"]
    if path is not None:
        from gemini.model_catalogue import ModelCatalogue

        ModelCatalogue(path)
    return path


def _optimizer_model(values: _Values, sources: "Sources") -> str | None:
    model = values["optimizer_model"]
    if model is None:
        return None
    if not values["enable_prompt_optimization"]:
        raise sources.build_error("optimizer_model", "used together with --enable-prompt-optimization")
    if not values["max_prompt_edits"]:
        raise sources.build_error("optimizer_model", "used with a --max-prompt-edits of at least 1")
    return str(model)


def _only(values: _Values, sources: "Sources") -> frozenset[ErrorKind]:
    words = [word.strip().lower() for word in (values["only"] or "").split(",")]
    expected = f"of these, with commas between: {', '.join(ErrorKind)}"
    try:
        kinds = frozenset(ErrorKind(word) for word in words if word)
    except ValueError as error:
        raise sources.build_error("only", expected) from error
    if values["only"] and not kinds:  # no class would mean all images
        raise sources.build_error("only", expected)
    return kinds


def _null_separated(values: _Values, sources: "Sources") -> bool:
    if values["null_separated"] and values["input_list"] is None:
        raise sources.build_error("null_separated", "used together with --input-list")
    return bool(values["null_separated"])


def _keep_answers(values: _Values, sources: "Sources") -> bool:
    if values["keep_answers"] and values["force"]:
        raise sources.build_error("keep_answers", "used without --force, which asks about all images again")
    return bool(values["keep_answers"])


def _api_key(
    keys: "Mapping[str, SecretText | None]", sources: "Sources", *, is_required: bool
) -> "SecretText | None":
    for name, key in keys.items():
        if key is not None:
            text = key.get_secret_value()
            if not text.isascii() or not text.isprintable() or any(mark in text for mark in " \"'"):
                raise sources.build_error(name)
            return key
    if is_required:
        raise UsageError(
            "there is no API key: set GEMINI_API_KEY in the environment or in .env "
            "(make one at https://aistudio.google.com/apikey), or try --dry-run, which needs none"
        )
    return None
