"""Prompt: the text itself, or the file that ``@`` names.

``@@`` stands for a leading ``@``, and before the name of a file for the words themselves.
"""

import os
import shlex
from pathlib import Path

from errors import UsageError
from settings.sources import Sources
from utils.small_files import read_small_file

MAX_FILE_BYTES = 16 * 1024 * 1024
"""Of a prompt's file; more than any model reads."""


def read_prompt(argument: str, sources: Sources, *, option: str = "prompt") -> str:
    """Return the text that ``--prompt``, or another option of texts, means.

    Raises:
        UsageError: it is empty or no text, its file cannot be read, or it is a file's name without ``@``.
    """
    flag = f"--{option.replace('_', '-')}"
    if argument.startswith("@@"):
        text = argument[2:] if _is_file(argument[2:]) else argument[1:]
    elif argument.startswith("@"):
        text = _read_file(argument[1:], flag)
    elif _is_file(argument):
        text_in_file, words = shlex.quote(f"@{argument}"), shlex.quote(f"@@{argument}")
        raise UsageError(
            f"{flag} is the name of a file, not the text in it: write {flag} {text_in_file} to send the "
            f"text, or {flag} {words} to send the name itself"
        )
    else:
        text = argument
    # A byte of the command line that is no UTF-8 arrives as a lone surrogate.
    if not text.strip() or any("\ud800" <= character <= "\udfff" for character in text):
        raise sources.build_error(option)
    return text


def _is_file(text: str) -> bool:
    """Return whether a text is the name of a file; a name too long for one, or with a NUL, is none."""
    return "\n" not in text and os.path.isfile(os.path.expanduser(text))  # noqa: PTH111, PTH113 - never raise


def _read_file(name: str, flag: str) -> str:
    path = Path(os.path.expanduser(name))  # noqa: PTH111 - an unknown home raises nothing here
    try:
        text = read_small_file(path, MAX_FILE_BYTES).decode("utf-8-sig")
        return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    except OSError as error:
        raise UsageError(
            f"{flag} names a file that cannot be read: {str(path)!r} ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{flag} names a file that is not UTF-8 text: {str(path)!r}") from error
