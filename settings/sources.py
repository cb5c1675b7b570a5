"""Sources of the settings: command line, environment and ``.env`` files, merged and converted.

They stand in this order of precedence; the defaults stand in ``options.OPTIONS``. What a setting means, and
whether two go together, is checked in ``config``.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from errors import UsageError
from settings.option import ArchiveFormat, Option, Typed, Verbosity
from settings.options import OPTIONS
from settings.value_spec import SecretText, ValueSpec, ValueType
from utils.durations import parse_duration, parse_time_of_day
from utils.small_files import read_small_file

_MAX_SHOWN_CHARACTERS = 60
_MIN_KEY_LENGTH = 6
_MAX_DOTENV_BYTES = 1024 * 1024
_NO_HOME = "a path that does not begin with ~, because there is no such home directory (see HOME)"
_OPTIONS_BY_NAME = {option.name: option for option in OPTIONS}
_INVISIBLE = "".join(map(chr, (9, 10, 11, 12, 13, 32, 0xA0, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF)))
"""Blanks, and marks without width that come along when a key is copied from a web page."""
_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c"}
_WHOLE_NUMBER = re.compile(r"([+-]?[0-9]+(?:_[0-9]+)*)(?:\.0+)?")
_BOOLEANS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place where the user can set something."""

    origin: str
    """For people; empty for the command line."""
    values: Mapping[str, Typed] = field(repr=False)
    """What was set, as it was typed, by the option's name."""
    variables: tuple[str, ...] = ()
    """All variables that are set there, also those of other programs."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Lines of a job file by the option's name; empty for other sources."""
    is_dotenv: bool = False
    """True for a file whose names are mostly ours; the environment belongs to all programs."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All of them, the one that goes before the others first."""

    sources: tuple[Source, ...]

    def merge(self) -> dict[str, Any]:
        """Return the value in force for every option, converted to the option's type.

        A key is a ``SecretText``; None is the value of an option that is not set and has no default.

        Raises:
            UsageError: for the first value that is not what its option takes.

        """
        wrong_option = self._find_blank()
        values: dict[str, Any] = {}
        for option in OPTIONS if wrong_option is None else ():
            try:
                values[option.name] = self._convert(option)
            except RuntimeError:  # Path.expanduser
                raise self.build_error(option.name, _NO_HOME) from None
            except (ValueError, ArithmeticError):  # the latter is Decimal's
                wrong_option = option.name
                break
        if wrong_option is None:
            return values
        # Raised out here so that the conversion's error, which holds the value, is no context of ours.
        raise self.build_error(wrong_option)

    def check_variables(self) -> tuple[str, ...]:
        """Return a warning for each misspelled variable of the environment.

        Raises:
            UsageError: a ``.env`` file has one: a cap that is not in force must not go unnoticed.
        """
        from settings.variable_names import find_misspellings  # noqa: PLC0415 - not for a wrong flag

        set_options = {name for source in self.sources for name in source.values}
        warnings = []
        for source in self.sources:
            for found in find_misspellings(source.variables, set_options):
                what = f"{found.name} in {source.origin} is no variable of this program"
                sentence = f"{what}, and does nothing: did you mean {found.meant}?"
                if source.is_dotenv and not found.is_word_of_others:
                    raise UsageError(sentence)
                if source.is_dotenv or not found.is_word_of_others:
                    warnings.append(sentence)
        return tuple(warnings)

    def build_error(self, name: str, expected: str = "") -> UsageError:
        """Return the error that names the flag or variable that set ``name``, and repeats no secret.

        ``expected`` completes "--flag must be …"; without it the option's own words are taken.
        """
        option = _OPTIONS_BY_NAME[name]
        source = next((source for source in self.sources if name in source.values), None)
        sentence = f"{_spelling(option, source)} must be {expected or option.spec.allowed}"
        if source is None or option.spec.is_secret:
            return UsageError(sentence)
        return UsageError(f"{sentence}, not {_quote(source.values[name])}")

    def remove_keys(self, message: str) -> str:
        """Return ``message`` without any key, into whatever option the user put it by mistake."""
        for key in self._keys():
            if len(key) >= _MIN_KEY_LENGTH:
                message = message.replace(key, "[key]")
        return message

    def _find_blank(self) -> str | None:
        """Return an option that is set to nothing, which only a flag can do."""
        items = (item for source in self.sources for item in source.values.items())
        return next(
            (name for name, value in items if any(not text.strip() for text in to_texts(value))), None
        )

    def _convert(self, option: Option) -> object:
        values = (source.values[option.name] for source in self.sources if option.name in source.values)
        value = next(values, option.default)
        if value is None and option.is_required:
            raise ValueError
        if option.is_repeatable:
            return tuple(_convert_text(option.spec, text) for text in to_texts(value))
        return value if value is None or isinstance(value, bool) else _convert_text(option.spec, str(value))

    def _keys(self) -> Iterator[str]:
        for source in self.sources:
            for name in ("gemini_api_key", "google_api_key"):
                if name in source.values:
                    yield str(source.values[name])


def check_requirements(argv: Sequence[str]) -> None:
    """Raise if this Python lacks what the program needs.

    Raises:
        UsageError: one sentence with the command to type.
    """
    from utils.requirements import find_problem  # noqa: PLC0415 - not for a wrong flag

    if problem := find_problem(without_ping(argv)):
        raise UsageError(problem)


def without_ping(argv: Sequence[str]) -> list[str]:
    """Return the command line without the URL of ``--ping``, which is a secret."""
    return [
        word
        for previous, word in zip(["", *argv], argv, strict=False)
        if "--ping" not in {previous, word} and not word.startswith("--ping=")
    ]


def read_variables(env: Mapping[str, str | None], *, origin: str, is_dotenv: bool = False) -> Source:
    """Return what ``env`` says about our options; an empty variable counts as unset."""
    found = {option: _unquote(env.get(option.variable) or "") for option in OPTIONS if option.variable}
    return Source(
        origin=origin,
        values={
            option.name: [part.strip() for part in text.split(",")] if option.is_repeatable else text
            for option, text in found.items()
            if text
        },
        variables=tuple(name for name, value in env.items() if value),
        is_dotenv=is_dotenv,
    )


def _unquote(value: str) -> str:
    """Return a value without what surrounds it by mistake: blanks, invisible characters, quotes.

    ``docker run --env-file`` and cron keep the quotes that a shell takes off.
    """
    value = value.strip(_INVISIBLE)
    while len(value) > 1 and _QUOTES.get(value[0]) == value[-1]:
        value = value[1:-1].strip(_INVISIBLE)
    return value


def read_dotenv(path: Path) -> Source:
    """Return what the ``.env`` file at ``path``, which need not exist, says about our options.

    Raises:
        UsageError: when it is there and cannot be read as UTF-8.

    """
    if not os.path.exists(path) or os.path.isdir(path):  # noqa: PTH110, PTH112 - which raise nothing
        return Source(origin=str(path), values={})
    from dotenv import dotenv_values  # noqa: PLC0415 - 13 ms, only where there is such a file

    try:
        # Interpolation would look into the process's own environment.
        text = read_small_file(path, _MAX_DOTENV_BYTES).decode("utf-8-sig")
        variables = dotenv_values(stream=StringIO(text), interpolate=False)
        return read_variables(variables, origin=str(path), is_dotenv=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error


def _convert_text(spec: ValueSpec, text: str) -> object:
    """Return the value that ``text`` means.

    Raises:
        ValueError: it means none, or one out of bounds.
        ArithmeticError: the same, for money.

    """
    value = _CONVERTERS[spec.type](text)
    if spec.pattern is not None and not re.fullmatch(spec.pattern, text):
        raise ValueError
    if spec.low is not None and spec.high is not None:
        number = float(value) if isinstance(value, Decimal) else value
        if not spec.low <= number <= spec.high:  # also for NaN
            raise ValueError
    return value


def _to_boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[text.lower()]


def _to_integer(text: str) -> int:
    found = _WHOLE_NUMBER.fullmatch(text.strip())
    if found is None:
        raise ValueError
    return int(found[1])


def _to_number(text: str) -> float:
    if not text.isascii():  # float takes the digits of all scripts
        raise ValueError
    return float(text)


def _to_path(text: str) -> Path:
    """Return the path; raise RuntimeError for one in a home directory that does not exist."""
    if text.startswith("~") and not os.path.isdir(Path(text.partition("/")[0]).expanduser()):  # noqa: PTH112
        raise RuntimeError
    return Path(text).expanduser()


def _to_money(text: str) -> Decimal:
    if not text.isascii():  # the same holds for Decimal
        raise ValueError
    return Decimal(text)


_CONVERTERS: Mapping[ValueType, Callable[[str], Any]] = {
    ValueType.TEXT: str,
    ValueType.SECRET: SecretText,
    ValueType.BOOLEAN: _to_boolean,
    ValueType.INTEGER: _to_integer,
    ValueType.NUMBER: _to_number,
    ValueType.DURATION: parse_duration,
    ValueType.TIME_OF_DAY: parse_time_of_day,
    ValueType.MONEY: _to_money,
    ValueType.PATH: _to_path,
    ValueType.ARCHIVE_FORMAT: ArchiveFormat,
    ValueType.VERBOSITY: Verbosity,
}


def _spelling(option: Option, source: Source | None) -> str:
    if source is None or not source.origin:
        return str(option.flag)
    if option.name in source.lines:
        key = (option.flag or option.name.replace("_", "-")).removeprefix("--")
        return f"{source.origin}, line {source.lines[option.name]}: {key}"
    return f"{option.variable} in {source.origin}"


def to_texts(value: Typed | float | None) -> tuple[str, ...]:
    """Return what was typed for an option as texts, one for each time that it was given."""
    if value is None or isinstance(value, str | bool | float | int):
        return () if value is None else (str(value),)
    return tuple(value)


def _quote(value: Typed) -> str:
    text = ", ".join(to_texts(value))
    return repr(text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…")
