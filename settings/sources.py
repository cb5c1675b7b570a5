"""What did the user set, where, and is each value of the right form?

The sources are the command line, the environment and ``.env`` files, in this order of precedence;
the defaults stand in ``options.OPTIONS``; pydantic-settings merges and converts. Importing this file
is slow, so ``config`` does it late. It must not know what a setting means, nor how two go together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Annotated, Any

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, SecretStr, ValidationError, create_model
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from errors import UsageError
from settings.options import OPTIONS, Duration, Option, SecretText
from utils.durations import parse_duration, parse_time_of_day

_MAX_SHOWN_CHARACTERS = 60
_MIN_KEY_LENGTH = 6
_OPTIONS_BY_NAME = {option.name: option for option in OPTIONS}
_PYDANTIC_TYPES: Mapping[type, object] = {
    SecretText: SecretStr,
    Duration: Annotated[float, BeforeValidator(lambda value: parse_duration(str(value)))],
    time: Annotated[time, BeforeValidator(lambda value: parse_time_of_day(str(value)))],
}
"""What pydantic is told where it would read the option's own type otherwise, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place where the user can set something."""

    origin: str
    """For people; empty for the command line."""
    values: Mapping[str, str | bool] = field(repr=False)
    """What was said, as it was typed, by the option's name."""


@dataclass(frozen=True, slots=True)
class Sources:
    """All of them, the one that goes before the others first."""

    sources: tuple[Source, ...]

    def merge(self) -> dict[str, Any]:
        """Return the value in force for every option, converted to the option's type.

        A key is a ``SecretStr``; an option that nobody set and that has no default is None.

        Raises:
            UsageError: for the first value that is not what its option takes.

        """
        wrong_option = self._find_blank()
        if wrong_option is None:
            try:
                return _build_model(self.sources)().model_dump()
            except ValidationError as error:
                wrong_option = str(error.errors(include_input=False)[0]["loc"][0])
        # Raised out here so that pydantic's error, which holds the value, is no context of ours.
        raise self.build_error(wrong_option)

    def build_error(self, name: str, expected: str = "") -> UsageError:
        """Return the error that names the flag or variable that set ``name``, and repeats no secret.

        ``must`` completes "--flag must be …"; without it the option's own words are taken.
        """
        option = _OPTIONS_BY_NAME[name]
        source = next((source for source in self.sources if name in source.values), None)
        sentence = f"{_spelling(option, source)} must be {expected or option.spec.allowed}"
        if source is None or option.spec.is_secret:
            return UsageError(sentence)
        return UsageError(f"{sentence}, not {_quote(str(source.values[name]))}")

    def remove_keys(self, message: str) -> str:
        """Return ``message`` without any key, into whatever option the user put it by mistake."""
        for key in self._keys():
            if len(key) >= _MIN_KEY_LENGTH:
                message = message.replace(key, "[key]")
        return message

    def _find_blank(self) -> str | None:
        """Return an option that is set to nothing, which only a flag can do."""
        items = (item for source in self.sources for item in source.values.items())
        return next((name for name, value in items if not str(value).strip()), None)

    def _keys(self) -> Iterator[str]:
        for source in self.sources:
            for name in ("gemini_api_key", "google_api_key"):
                if name in source.values:
                    yield str(source.values[name])


def read_variables(env: Mapping[str, str | None], *, origin: str) -> Source:
    """Return what ``env`` says about our options; an empty variable counts as unset."""
    values = {option.name: (env.get(option.variable) or "").strip() for option in OPTIONS if option.variable}
    return Source(origin=origin, values={name: value for name, value in values.items() if value})


def read_dotenv(path: Path) -> Source:
    """Return what the ``.env`` file at ``path``, which need not exist, says about our options.

    Raises:
        UsageError: when it is there and cannot be read as UTF-8.

    """
    try:
        # Interpolation would look into the process's own environment.
        return read_variables(dotenv_values(path, interpolate=False, encoding="utf-8-sig"), origin=str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error


def _build_model(sources: Sequence[Source]) -> type[BaseSettings]:
    """Return a settings class with one field per option that reads ``sources`` and nothing else."""

    class Layered(BaseSettings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: object, **__: object
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(InitSettingsSource(settings_cls, dict(source.values)) for source in sources)

    fields: dict[str, Any] = {
        option.name: (_field_type(option), _field_default(option)) for option in OPTIONS
    }
    return create_model("Layered", __base__=Layered, **fields)


def _field_type(option: Option) -> object:
    takes = option.spec
    form: Any = _PYDANTIC_TYPES.get(takes.type, takes.type)
    return Annotated[form | None, Field(ge=takes.low, le=takes.high, pattern=takes.pattern)]


def _field_default(option: Option) -> object:
    return ... if option.is_required else option.default


def _spelling(option: Option, source: Source | None) -> str:
    if source is None or not source.origin:
        return str(option.flag)
    return f"{option.variable} in {source.origin}"


def _quote(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…")
