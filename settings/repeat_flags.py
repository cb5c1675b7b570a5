"""Flags that repeat a run: all that was set anywhere, for a command typed in any directory."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from settings.option import TEXTS_OR_FILES, Group, Option, Verbosity
from settings.options import OPTIONS
from settings.sources import Source, to_texts
from settings.value_spec import ValueType

_NOT_REPEATED = {"ping_url", "new_output", "job"}
"""The monitoring service's address is a secret, and a run by hand is not what it waits for. An output
directory is begun anew once. What a job file says is repeated flag by flag."""


def build_repeat_flags(sources: tuple[Source, ...], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the flags, without those that select images.

    Paths are absolute. What the environment and ``.env`` files set is among them, since both may differ where
    the command is typed; but not the key. What is the default is left out.

    Args:
        sources: the one that goes before the others first.
        values: by the option's name, converted; without the key.
    """
    repeated = [
        option
        for option in OPTIONS
        if option.group is not Group.SELECTION and option.name in values and option.name not in _NOT_REPEATED
    ]
    return tuple(word for option in repeated for word in _build_words(option, sources, values[option.name]))


def _build_words(option: Option, sources: tuple[Source, ...], value: object) -> Iterator[str]:
    if option.is_repeatable:
        yield from _build_repeated(option, sources)
        return
    texts = [str(source.values[option.name]) for source in sources if option.name in source.values]
    if option.name == "log_level":
        yield from ["--verbose"] if value is Verbosity.VERBOSE else []
    elif option.flag and option.spec.type is ValueType.BOOLEAN:
        yield from _build_switch(option.flag, is_on=bool(value), is_needed=len(texts) > 1)
    elif option.flag and value is not None and not _is_default(option, texts):
        text = _absolute(option, value, texts[0] if texts else str(option.default))
        yield from [f"{option.flag}={text}"] if text.startswith("-") else [option.flag, text]


def _build_repeated(option: Option, sources: tuple[Source, ...]) -> Iterator[str]:
    """Yield the flag once for each text of the source that goes before the others."""
    given = (source.values[option.name] for source in sources if option.name in source.values)
    for text in to_texts(next(given, None)):
        is_path = option.spec.type is ValueType.PATH
        yield from (str(option.flag), str(Path(text).expanduser().absolute()) if is_path else text)


def _is_default(option: Option, texts: Sequence[str]) -> bool:
    """Return whether the option has its default wherever the command is typed; a relative path never has."""
    return option.spec.type is not ValueType.PATH and (not texts or texts == [str(option.default)])


def _build_switch(flag: str, *, is_on: bool, is_needed: bool) -> Iterator[str]:
    if is_on:
        yield flag
    elif is_needed:  # something else, such as ``.env``, may switch it on
        yield f"--no-{flag.removeprefix('--')}"


def _absolute(option: Option, value: object, text: str) -> str:
    """Return the text of the value, with its path absolute if it has one."""
    if isinstance(value, Path):
        return str(value.absolute())
    if option.name in TEXTS_OR_FILES and text.startswith("@") and not text.startswith("@@"):
        return "@" + os.path.abspath(os.path.expanduser(text[1:]))  # noqa: PTH100, PTH111 - as prompt_text reads it
    return text
