"""Job file: the settings of a run in one TOML file, read and printed.

``[run]`` holds what the flags can say, under the flags' names. Paths are relative to the file. A key or
another secret is refused: such a file is copied, mailed and put under version control.
"""

import difflib
import errno
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from errors import UsageError
from settings.option import TEXTS_OR_FILES, Option, Typed
from settings.options import OPTIONS
from settings.sources import Source, Sources, to_texts
from settings.value_spec import ValueType
from utils.small_files import read_small_file

MAX_BYTES: Final = 1_000_000
"""A longer file is no job file."""

_MAX_DOTS: Final = 1_000
"""Dots of a line: the library takes minutes for a key of a hundred thousand parts."""
RUN: Final = "run"
_SECRETS: Final = {"api-key", "key", "gemini-api-key", "google-api-key", "ping", "ping-url"}
_NOT_IN_JOB: Final = {"job"}
_HEADER = re.compile(r"\s*\[\s*\"?([\w-]+)\"?\s*\]")
_KEY = re.compile(r"(\s*)\"?([\w-]+)\"?\s*=")


class _Place(NamedTuple):
    line: int
    column: int


def read_job(path: Path) -> Source:
    """Return what a job file says.

    Raises:
        UsageError: it cannot be read, is no TOML, or holds something else than settings; with the line.
    """
    text = _read_text(path)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also over a number of thousands of digits
        raise UsageError(f"--job: {path} is no TOML: {error or 'it is nested too deeply'}") from error
    places = dict(_find_keys(text))
    for table, content in document.items():
        if table != RUN or not isinstance(content, dict):
            place = places.get(("", table), _find_header(text, table))
            raise UsageError(f"{_where(path, place)}: there is only the table [{RUN}], not {table!r}")
    values = {}
    for key, value in document.get(RUN, {}).items():
        place = places.get((RUN, key), _Place(1, 1))
        option = _find_option(key, where=_where(path, place))
        values[option.name] = _to_typed(
            option, value, folder=path.absolute().parent, where=_where(path, place)
        )
    lines = {
        option.name: places[RUN, key].line
        for option in OPTIONS
        for key in (job_key(option), job_key(option).replace("-", "_"))
        if (RUN, key) in places
    }
    return Source(origin=str(path), values=values, lines=lines)


def format_job(sources: Sources, values: Mapping[str, Any]) -> str:
    """Return the settings in force as a job file, each with where it came from; without secrets.

    Args:
        sources: all of them.
        values: the value in force for every option, converted.
    """
    return "\n".join([f"[{RUN}]", *_format_lines(sources, values), ""])


def job_key(option: Option) -> str:
    """Return the name of an option in a job file."""
    return (option.flag or f"--{option.name.replace('_', '-')}").removeprefix("--")


def _read_text(path: Path) -> str:
    try:
        data = read_small_file(path, MAX_BYTES)
        if any(line.count(b".") > _MAX_DOTS for line in data.splitlines()):
            raise UsageError(f"--job: {path} has a line with more than {_MAX_DOTS:,} dots: it is no job file")
        return data.decode("utf-8-sig")
    except OSError as error:
        if error.errno == errno.EFBIG:
            text = f"--job: {path} has more than {MAX_BYTES:,} bytes: it is no job file"
            raise UsageError(text) from error
        raise UsageError(
            f"--job names a file that cannot be read: {str(path)!r} ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--job names a file that is not UTF-8 text: {str(path)!r}") from error


def _find_keys(text: str) -> Iterator[tuple[tuple[str, str], _Place]]:
    """Yield where each key stands, by its table; what spans lines is not looked into."""
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = header[1]
        elif found := _KEY.match(line):
            yield (table, found[2]), _Place(number, len(found[1]) + 1)


def _find_header(text: str, table: str) -> _Place:
    lines = enumerate(text.splitlines(), start=1)
    return next((_Place(number, 1) for number, line in lines if f"[{table}" in line), _Place(1, 1))


def _where(path: Path, place: _Place) -> str:
    return f"{path}, line {place.line}, column {place.column}"


def _find_option(key: str, *, where: str) -> Option:
    name = key.replace("_", "-")
    if name in _SECRETS:
        what = "the address of the ping" if name.startswith("ping") else "the key"
        raise UsageError(f"{where}: {what} is a secret, which belongs into the environment or into .env")
    known = {job_key(option): option for option in OPTIONS if option.name not in _NOT_IN_JOB}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    raise UsageError(f"{where}: there is no setting {key!r}" + (f"; did you mean {near[0]}?" if near else ""))


def _to_typed(option: Option, value: object, *, folder: Path, where: str) -> Typed:
    """Return a value of TOML as it would have been typed."""
    if isinstance(value, bool) and option.spec.type is ValueType.BOOLEAN:
        return value
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(
        isinstance(one, str | int | float | time) and type(one) is not bool for one in texts
    ):
        raise UsageError(f"{where}: {job_key(option)} must be {option.spec.allowed}")
    words = [_rebase(option, _spell(one), folder) for one in texts]
    if option.is_repeatable:
        return words
    if isinstance(value, list) and option.spec.type is not ValueType.TEXT:
        raise UsageError(f"{where}: {job_key(option)} must be {option.spec.allowed}, not a list")
    return ",".join(words)


def _spell(value: object) -> str:
    return f"{value:%H:%M}" if isinstance(value, time) else str(value)


def _rebase(option: Option, text: str, folder: Path) -> str:
    """Return a text with its path, if it has one, relative to the job file's folder."""
    if option.spec.type is ValueType.PATH or (option.name == "input_list" and text != "-"):
        return str(folder / os.path.expanduser(text))  # noqa: PTH111 - an unknown home raises nothing here
    if option.name in TEXTS_OR_FILES and text.startswith("@") and not text.startswith("@@"):
        return f"@{folder / os.path.expanduser(text[1:])}"  # noqa: PTH111
    return text


def _format_lines(sources: Sources, values: Mapping[str, Any]) -> Iterator[str]:
    for option in OPTIONS:
        key, value = job_key(option), values.get(option.name)
        if key in _SECRETS or option.name in _NOT_IN_JOB:
            continue
        source = next((one for one in sources.sources if option.name in one.values), None)
        if source is None and value in {None, ()}:
            yield f"# {key}  ({option.unset or 'not set'})"
            continue
        typed = option.default if source is None else source.values[option.name]
        yield f"{key} = {_format_value(option, typed)}  # {_describe_origin(option, source)}"


def _format_value(option: Option, typed: Typed | float | None) -> str:
    if option.spec.type is ValueType.BOOLEAN:
        return "true" if str(typed).lower() in {"true", "1", "t", "yes", "y", "on"} else "false"
    texts = [_rebase(option, text, Path.cwd()) for text in to_texts(typed)]
    quoted = [json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f") for text in texts]
    return f"[{', '.join(quoted)}]" if option.is_repeatable else quoted[0]


def _describe_origin(option: Option, source: Source | None) -> str:
    if source is None:
        return "default"
    if source.lines:
        return f"{source.origin}, line {source.lines[option.name]}"
    return f"{option.variable} in {source.origin}" if source.origin else "command line"
