"""Parser of the command line: the values as they were typed, and the text of ``--help``.

Defaults, other sources and conversions stand in ``sources``; nothing heavy is imported here, for ``--help``.
"""

import argparse
from collections.abc import Collection, Sequence
from typing import NoReturn

from errors import ExitCode, UsageError
from settings.option import Group, Option, Typed, Verbosity
from settings.options import OPTIONS
from settings.value_spec import ValueType

STATUS = "status"
"""The name of the flag that asks for the state of an output directory instead of a run."""

PRINT_JOB = "print_job"
"""The name of the flag that asks for the settings in place of a run."""

DEFAULT_PROG = "python main.py"
"""How the program is started from a checkout."""

_LONG_FLAGS = {"-0": "--null"}
_HELP_COLUMNS = 80
_KEY_FLAGS = {"--api-key", "--apikey", "--key", "--gemini-api-key", "--google-api-key"}


def parse(argv: Sequence[str], *, version: str, prog: str = DEFAULT_PROG) -> dict[str, Typed]:
    """Return the values that ``argv`` gives, as they were typed, by the option's name.

    Raises:
        UsageError: for an unknown flag, a flag without its value, or a missing required one.
        SystemExit: with code 0, after ``--help`` or ``--version`` was printed.

    """
    # argparse itself would take every negative number for a flag if it knew one that looks like it.
    spelled = [_LONG_FLAGS.get(word, word) for word in argv]
    known, rest = build_parser(version=version, prog=prog).parse_known_args(spelled)
    if rest:
        raise UsageError(_explain_unknown(rest))
    values: dict[str, Typed] = vars(known)
    if STATUS not in values and "job" not in values and (problem := find_missing(values)):
        raise UsageError(problem)
    return values


def find_missing(given: Collection[str]) -> str:
    """Return the sentence about required options that are not given; "" if they are all there."""
    missing = [str(option.flag) for option in OPTIONS if option.is_required and option.name not in given]
    return f"{' and '.join(missing)} must be given (see --help)" if missing else ""


def build_parser(*, version: str, prog: str = DEFAULT_PROG) -> argparse.ArgumentParser:
    """Return the parser of the command line; it knows no default, so that other sources can speak."""
    parser = _Parser(
        prog=prog,
        usage="%(prog)s --input-dir DIR --prompt TEXT [options]",
        description="Send every image of a directory with one prompt to Google's Gemini API.",
        epilog=_epilog(prog),
        formatter_class=_Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    groups = {group: parser.add_argument_group(group.value) for group in Group}
    for option in OPTIONS:
        if option.flag:
            groups[option.group].add_argument(option.flag, **_arguments(option))  # type: ignore[arg-type]
    _add_verbosity_flags(groups[Group.LOGGING])
    version_line = f"gemini-batch-processor {version}"
    other = groups[Group.OTHER]
    other.add_argument(
        "--status",
        action="store_const",
        const=True,
        dest=STATUS,
        default=argparse.SUPPRESS,
        help="say how far the results in --output-dir are and end; needs nothing else",
    )
    other.add_argument(
        "--print-job",
        action="store_const",
        const=True,
        dest=PRINT_JOB,
        default=argparse.SUPPRESS,
        help="print the settings in force as a job file, with where each came from, and end",
    )
    other.add_argument("--version", action="version", version=version_line, help="print the version and end")
    other.add_argument("-h", "--help", action="help", help="print this page and end")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of ending the process: ``main`` alone decides on exit codes."""
        flag, _, problem = message.removeprefix("argument ").partition(": ")
        if problem == "expected one argument":
            raise UsageError(f"{flag} needs a value (write {flag}=VALUE when the value begins with a dash)")
        if problem.startswith("ignored explicit argument"):
            raise UsageError(f"{flag} takes no value")
        raise UsageError(f"{flag}: {problem} (see --help)")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=_HELP_COLUMNS)


def _arguments(option: Option) -> dict[str, object]:
    common: dict[str, object] = {
        "dest": option.name,
        "help": _help_text(option),
        "default": argparse.SUPPRESS,
    }
    if option.spec.type is ValueType.BOOLEAN and option.flag and option.flag.startswith("--no-"):
        return common | {"action": "store_const", "const": True}
    if option.spec.type is ValueType.BOOLEAN:
        return common | {"action": argparse.BooleanOptionalAction}
    repeated = {"action": "append"} if option.is_repeatable else {}
    return common | {"metavar": option.metavar, **repeated}


def _add_verbosity_flags(group: "argparse._ArgumentGroup") -> None:
    """Add the two short ways to say ``LOG_LEVEL``."""
    exclusive = group.add_mutually_exclusive_group()
    for short, word, meaning in (
        ("-q", Verbosity.QUIET, "say only what went wrong"),
        ("-v", Verbosity.VERBOSE, "say every step"),
    ):
        exclusive.add_argument(
            short,
            f"--{word}",
            dest="log_level",
            action="store_const",
            const=word.value,
            help=f"{meaning} (env: LOG_LEVEL={word})",
        )


def _help_text(option: Option) -> str:
    remarks = ["required"] if option.is_required else []
    if option.unset or option.default is not None:
        remarks.append(f"default: {option.unset or option.default}")
    if option.variable:
        remarks.append(f"env: {option.variable}")
    text = f"{option.help} ({', '.join(remarks)})" if remarks else option.help
    return text.replace("%", "%%")


def _epilog(prog: str) -> str:
    codes = "\n".join(f"  {code.value:>3}  {code.meaning}" for code in ExitCode)
    return (
        "The key is read from GEMINI_API_KEY (or GOOGLE_API_KEY), in the environment or\n"
        "in .env. A flag goes before the environment, which goes before .env.\n"
        "A DURATION is a number of seconds, or such as 90s, 30m, 5h, 1h30m, 2d.\n\n"
        f"Exit codes:\n{codes}\n\n"
        "Examples:\n"
        f'  {prog} --input-dir photos --prompt "Describe this image" --dry-run\n'
        f"  {prog} --input-dir photos --prompt @prompt.txt --archive-format zip\n"
        f"  {prog} --status --output-dir results\n"
    )


def _explain_unknown(rest: Sequence[str]) -> str:
    """Return what is wrong with words that belong to no option, without repeating one that may be a key."""
    word = next((word for word in rest if word.startswith("-")), None)
    if word is None:
        return "there is a word that belongs to no option; a prompt of several words needs quotes around it"
    flag = word.split("=")[0] if word.startswith("--") else word[:2]
    if flag in _KEY_FLAGS:
        return (
            f"{flag} does not exist, because a key on a command line can be read by others and stays in the "
            "shell's history: set GEMINI_API_KEY in the environment or in .env"
        )
    import difflib  # noqa: PLC0415 - for a wrong flag alone

    known = [option.flag for option in OPTIONS if option.flag]
    near = difflib.get_close_matches(flag, [*known, "--quiet", "--verbose", "--version", "--help"], n=1)
    return f"there is no option {flag!r}" + (f"; did you mean {near[0]}?" if near else " (see --help)")
