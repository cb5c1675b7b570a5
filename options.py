"""Which options are there, and how does the command line spell them?

``OPTIONS`` is the one table: flags, variables, defaults, what is allowed and the words of ``--help``
all come from it. This file must not know where a value comes from, nor what is done with it, and
imports nothing heavy, so that ``--help`` is quick.
"""

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, Self

from errors import ExitCode, UsageError

_HELP_COLUMNS = 80


class _Word(StrEnum):
    """A word out of a few, in any mixture of capitals."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        word = str(value).lower()
        return next((member for member in cls if member == word), None)


class ArchiveFormat(_Word):
    """What the finished output directory is packed into."""

    ZIP = "zip"
    TAR = "tar"
    NONE = "none"


class Loudness(_Word):
    """How much is said while the program works."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        """Understand the level names of other programs, which often share ``LOG_LEVEL``."""
        word = str(value).lower()
        return super()._missing_(_LOUDNESS_OF_LEVEL.get(word, word))


_LOUDNESS_OF_LEVEL = {
    "debug": "verbose",
    "info": "normal",
    "warn": "quiet",
    "warning": "quiet",
    "error": "quiet",
    "critical": "quiet",
}


class Group(StrEnum):
    """The headings of ``--help``, in their order."""

    INPUT = "Input and prompt"
    OUTPUT = "Output"
    CALLS = "Calls and limits"
    SAID = "What is said"
    OTHER = "Other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """What an option's value may be: its type, its bounds, and a sentence's end that says so."""

    type: type
    allowed: str
    """Completes "X must be …"."""
    low: float | None = None
    high: float | None = None
    pattern: str | None = None
    secret: bool = False
    """A value that may hold a credential: it is never repeated in a message."""


def _whole(low: int, high: int) -> Takes:
    return Takes(type=int, low=low, high=high, allowed=f"a whole number from {low} to {high}")


def _number(low: float, high: float, unit: str) -> Takes:
    return Takes(type=float, low=low, high=high, allowed=f"a number of {unit} from {low:g} to {high:g}")


_SWITCH = Takes(type=bool, allowed="true or false (or yes/no, on/off, 1/0)")
_PATH = Takes(type=Path, allowed="a path")
_MODEL = Takes(
    type=str,
    pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$",
    allowed="a model's name such as gemini-3.5-flash-lite",
)
_URL = Takes(
    type=str,
    secret=True,
    allowed="an http:// or https:// address with a host and without user, password, query or fragment",
)
_KEY = Takes(type=str, secret=True, allowed="one word of printable ASCII characters, as Google issued it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting: a flag, an environment variable, or both."""

    name: str
    """The field it fills."""
    takes: Takes
    group: Group = Group.OTHER
    flag: str | None = None
    """None: only a variable sets it."""
    metavar: str | None = None
    variable: str | None = None
    """None: only a flag sets it."""
    default: str | float | None = None
    required: bool = False
    help: str = ""


OPTIONS = (
    Option(
        name="input_dir", flag="--input-dir", metavar="DIR", group=Group.INPUT, required=True, takes=_PATH,
        help="directory with images, walked recursively",
    ),
    Option(
        name="prompt", flag="--prompt", metavar="TEXT", group=Group.INPUT, required=True,
        takes=Takes(type=str, allowed="a text of valid Unicode that is not empty"),
        help="what to ask for every image; @FILE reads it from a UTF-8 file, @@ stands for a leading @",
    ),
    Option(
        name="output_dir", flag="--output-dir", metavar="DIR", group=Group.OUTPUT, takes=_PATH,
        variable="OUTPUT_DIR", default="./output", help="where results go",
    ),
    Option(
        name="archive_format", flag="--archive-format", metavar="FORMAT", group=Group.OUTPUT,
        takes=Takes(type=ArchiveFormat, allowed="zip, tar or none"),
        variable="ARCHIVE_FORMAT", default="none",
        help="also pack the results into one file: zip, tar (archive.tar.gz) or none",
    ),
    Option(
        name="model", flag="--model", metavar="NAME", group=Group.CALLS, takes=_MODEL,
        variable="GEMINI_MODEL", default="gemini-3.5-flash-lite", help="the Gemini model to ask",
    ),
    Option(
        name="max_concurrent", flag="--max-concurrent", metavar="N", group=Group.CALLS, takes=_whole(1, 1000),
        variable="MAX_CONCURRENT_REQUESTS", default=5, help="most requests in flight, 1 to 1000",
    ),
    Option(
        name="max_retries", flag="--max-retries", metavar="N", group=Group.CALLS, takes=_whole(0, 100),
        variable="MAX_RETRIES", default=5,
        help="most retries per image, all transient errors together, 0 to 100",
    ),
    Option(
        name="timeout_s", flag="--timeout", metavar="SECONDS", group=Group.CALLS,
        takes=_number(1, 3600, "seconds"), variable="REQUEST_TIMEOUT", default=180,
        help="for one call's first try, at most 3600 and at least 10 against Google's own host",
    ),
    Option(
        name="rpm", flag="--rpm", metavar="N", group=Group.CALLS, takes=_number(0.01, 100_000, "requests"),
        variable="REQUESTS_PER_MINUTE", help="most requests per minute, evenly spaced (default: no limit)",
    ),
    Option(
        name="enable_prompt_optimization", flag="--enable-prompt-optimization", group=Group.CALLS,
        takes=_SWITCH, variable="ENABLE_PROMPT_OPTIMIZATION", default=False,
        help="repair the prompt for images that keep failing",
    ),
    Option(
        name="api_base_url", flag="--api-base-url", metavar="URL", group=Group.CALLS, takes=_URL,
        variable="GEMINI_API_BASE_URL", help="another endpoint: a gateway, a proxy (default: Google's)",
    ),
    Option(
        name="log_level", takes=Takes(type=Loudness, allowed="quiet, normal or verbose"), group=Group.SAID,
        variable="LOG_LEVEL", default="normal",
    ),
    Option(
        name="log_file", flag="--log-file", metavar="FILE", group=Group.SAID, takes=_PATH,
        variable="LOG_FILE", help="also append what happens to this file, with times in UTC",
    ),
    Option(
        name="dry_run", flag="--dry-run", group=Group.OTHER, takes=_SWITCH, variable="DRY_RUN", default=False,
        help="the whole pipeline without any API call; needs no key",
    ),
    Option(name="gemini_api_key", takes=_KEY, variable="GEMINI_API_KEY"),
    Option(name="google_api_key", takes=_KEY, variable="GOOGLE_API_KEY"),
)  # fmt: skip

_KEY_FLAGS = {"--api-key", "--apikey", "--key", "--gemini-api-key", "--google-api-key"}
_KEY_FLAG_REFUSED = (
    "{flag} does not exist, because other users and the shell's history can read a key on a command line: "
    "set GEMINI_API_KEY in the environment or in .env"
)


def parse(argv: Sequence[str], *, version: str) -> dict[str, str | bool]:
    """Return the values that ``argv`` gives, as they were typed, by the option's name.

    Raises:
        UsageError: for an unknown flag, a flag without its value, or a missing required one.
        SystemExit: with code 0, after ``--help`` or ``--version`` was printed.

    """
    known, rest = build_parser(version=version).parse_known_args(argv)
    if rest:
        raise UsageError(_unknown(rest))
    values: dict[str, str | bool] = vars(known)
    missing = [str(option.flag) for option in OPTIONS if option.required and option.name not in values]
    if missing:
        raise UsageError(f"{' and '.join(missing)} must be given (see --help)")
    return values


def build_parser(*, version: str) -> argparse.ArgumentParser:
    """Return the parser of the command line; it knows no default, so that other sources can speak."""
    parser = _Parser(
        prog="python main.py",
        usage="%(prog)s --input-dir DIR --prompt TEXT [options]",
        description="Send every image of a directory with one prompt to Google's Gemini API.",
        epilog=_epilog(),
        formatter_class=_Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    groups = {group: parser.add_argument_group(group.value) for group in Group}
    for option in OPTIONS:
        if option.flag:
            _add(option, groups[option.group])
    _add_loudness(groups[Group.SAID])
    groups[Group.OTHER].add_argument("--version", action="version", version=f"gemini-batch-processor {version}",
                                     help="print the version and end")  # fmt: skip
    groups[Group.OTHER].add_argument("-h", "--help", action="help", help="print this page and end")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of ending the process: ``main`` alone decides on exit codes."""
        sentence = message.removeprefix("argument ")
        if sentence.endswith("expected one argument"):
            flag = sentence.split(":")[0]
            sentence = f"{flag} needs a value (write {flag}=VALUE when the value begins with a dash)"
        raise UsageError(f"{sentence} (see --help)")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=_HELP_COLUMNS)


def _add(option: Option, group: "argparse._ArgumentGroup") -> None:
    flag = str(option.flag)
    if option.takes.type is bool:
        group.add_argument(
            flag, action=argparse.BooleanOptionalAction, dest=option.name, default=argparse.SUPPRESS,
            help=_help(option),
        )  # fmt: skip
    else:
        group.add_argument(flag, dest=option.name, metavar=option.metavar, help=_help(option))


def _add_loudness(group: "argparse._ArgumentGroup") -> None:
    variable = "env: LOG_LEVEL={word}"
    either = group.add_mutually_exclusive_group()
    for short, word, meaning in (
        ("-q", Loudness.QUIET, "say only what went wrong"),
        ("-v", Loudness.VERBOSE, "say every step"),
    ):
        either.add_argument(
            short, f"--{word}", dest="log_level", action="store_const", const=word.value,
            help=f"{meaning} ({variable.format(word=word)})",
        )  # fmt: skip


def _help(option: Option) -> str:
    remarks = []
    if option.required:
        remarks.append("required")
    if option.default is not None:
        remarks.append(f"default: {'off' if option.default is False else option.default}")
    if option.variable:
        remarks.append(f"env: {option.variable}")
    return f"{option.help} ({', '.join(remarks)})".replace("%", "%%")


def _epilog() -> str:
    codes = "\n".join(f"  {code.value:>3}  {code.meaning}" for code in ExitCode)
    return (
        "The key is read from GEMINI_API_KEY (or GOOGLE_API_KEY), in the environment or\n"
        "in .env. A flag goes before the environment, which goes before .env.\n\n"
        f"Exit codes:\n{codes}\n\n"
        "Examples:\n"
        '  python main.py --input-dir photos --prompt "Describe this image" --dry-run\n'
        "  python main.py --input-dir photos --prompt @prompt.txt --archive-format zip\n"
    )


def _unknown(rest: Sequence[str]) -> str:
    """Say what is wrong with words that belong to no option; their values may be secret."""
    flag = next((word.split("=")[0] for word in rest if word.startswith("-")), None)
    if flag is None:
        return f"{rest[0]!r} belongs to no option; a prompt of several words needs quotes around it"
    if flag in _KEY_FLAGS:
        return _KEY_FLAG_REFUSED.format(flag=flag)
    flags = [option.flag for option in OPTIONS if option.flag]
    near = difflib.get_close_matches(flag, [*flags, "--quiet", "--verbose", "--version", "--help"], n=1)
    return f"there is no option {flag!r}" + (f"; did you mean {near[0]}?" if near else " (see --help)")
