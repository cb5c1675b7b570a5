"""Requirements of the program: Python and packages, and the command to type if one is missing.

This module is read by every Python 3, also one that is too old for the rest, and imports nothing that is not
part of it.
"""

import importlib.util
import os
import shlex
import shutil
import sys

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 19)
"""Newest version that is looked for on the PATH; the names of those to come are known."""

PACKAGES = {
    "aiohttp": "aiohttp",
    "certifi": "certifi",
    "genai_prices": "genai-prices",
    "google.genai": "google-genai",
    "pathspec": "pathspec",
    "pillow_heif": "pillow-heif",
    "PIL": "pillow",
    "platformdirs": "platformdirs",
    "dotenv": "python-dotenv",
    "tenacity": "tenacity",
    "tqdm": "tqdm",
    "tzdata": "tzdata",
    "yarl": "yarl",
}
"""The names to install by the names to import, as in requirements.txt."""

PARTS_OF_PYTHON = ("_sqlite3", "_ssl", "zlib", "_ctypes")
"""Parts that a Python lacks which was built without the libraries for them."""

_PROGRAM_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120


def find_problem(arguments: "list[str]") -> "str | None":
    """Return what this Python lacks, as one sentence with the command to type; None if nothing.

    Args:
        arguments: of the program, for the command.
    """
    parts = [name.lstrip("_") for name in PARTS_OF_PYTHON if not _is_installed(name)]
    if parts:
        return _ask_for_python("was built without " + ", ".join(parts), arguments)
    missing = [package for name, package in PACKAGES.items() if not _is_installed(name)]
    if not missing:
        return None
    count = "a package that" if len(missing) == 1 else "packages that"
    return _ask_for_packages("lacks {} the program needs ({})".format(count, ", ".join(missing)), arguments)


def find_python_problem(arguments: "list[str]") -> "str | None":
    """Return that this Python is too old, as one sentence with the command to type; None if it is not."""
    if sys.version_info >= OLDEST_PYTHON:
        return None
    return _ask_for_python("is too old ({}.{})".format(*sys.version_info[:2]), arguments)


def explain_import(error: BaseException) -> "str | None":
    """Return why an import failed, as one sentence with the command to type; None for a bug of ours.

    Args:
        error: any error; the import may have failed in one of several tasks.
    """
    if not isinstance(error, ImportError):
        found = (explain_import(one) for one in getattr(error, "exceptions", ()))
        return next((sentence for sentence in found if sentence), None)
    name = error.name or ""
    module = next((one for one in PACKAGES if name == one or name.startswith(one + ".")), None)
    if module is None:
        return find_problem([])
    problem = f"cannot use the package {PACKAGES[module]} that is installed for it ({error})"
    return _ask_for_packages(problem, [])


def _is_installed(name: str) -> bool:
    try:
        return name in sys.builtin_module_names or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # a parent is missing, or is no package
        return False


def _ask_for_packages(problem: str, arguments: "list[str]") -> str:
    requirements = os.path.join(_PROGRAM_DIR, "requirements.txt")  # noqa: PTH118
    own = _find_own_python()
    if own and not _is_this_python(own):
        command = _join(own, _main(), *arguments)
    elif not os.path.exists(requirements):  # noqa: PTH110
        command = _join(sys.executable, "-m", "pip", "install", "--upgrade", *PACKAGES.values())
    elif own or sys.prefix != sys.base_prefix:
        command = _join(sys.executable, "-m", "pip", "install", "-r", requirements) + _again(
            sys.executable, arguments
        )
    else:
        command = _make_own_python(sys.executable, requirements, arguments)
    return f"this Python ({sys.executable}) {problem}; type: {command}"


def _ask_for_python(problem: str, arguments: "list[str]") -> str:
    """Return the sentence for a Python that no package can help."""
    own = _find_own_python()
    if own and not _is_this_python(own):
        remedy = "type: " + _join(own, _main(), *arguments)
    else:
        newer = _find_newer_python()
        command = _make_own_python(
            newer or "python3",
            os.path.join(_PROGRAM_DIR, "requirements.txt"),  # noqa: PTH118
            arguments,
        )
        install = "" if newer else "install another one (https://www.python.org/downloads/), then "
        remedy = install + "type: " + command
    wanted = "the program needs Python {}.{} or newer".format(*OLDEST_PYTHON)
    return f"this Python ({sys.executable}) {problem}, and {wanted}; {remedy}"


def _make_own_python(python: str, requirements: str, arguments: "list[str]") -> str:
    """Return the commands that make the program's own Python beside it, and start it with that."""
    folder = os.path.join(_PROGRAM_DIR, ".venv")  # noqa: PTH118
    own = os.path.join(folder, "bin", "python")  # noqa: PTH118
    install = _join(own, "-m", "pip", "install", "-r", requirements)
    make = _join(python, "-m", "venv", "--clear", folder)
    return f"{make} && {install}{_again(own, arguments)}"


def _again(python: str, arguments: "list[str]") -> str:
    """Return the rest of a command: the program's own, if it is known."""
    return " && " + _join(python, _main(), *arguments) if arguments else ""


def _main() -> str:
    return os.path.join(_PROGRAM_DIR, "main.py")  # noqa: PTH118


def _find_own_python() -> "str | None":
    """Return the Python in the program's ``.venv``; None if there is none."""
    path = os.path.join(_PROGRAM_DIR, ".venv", "bin", "python")  # noqa: PTH118
    return path if os.path.exists(path) else None  # noqa: PTH110


def _is_this_python(path: str) -> bool:
    """Return whether the Python of a virtual environment is the one that runs."""
    environment = os.path.dirname(os.path.dirname(path))  # noqa: PTH120
    return os.path.realpath(environment) == os.path.realpath(sys.prefix)


def _find_newer_python() -> "str | None":
    names = [f"python3.{minor}" for minor in range(OLDEST_PYTHON[1], NEWEST_PYTHON[1] + 1)]
    found = [path for path in map(shutil.which, names) if path]
    return found[0] if found else None


def _join(*words: str) -> str:
    return " ".join(map(shlex.quote, words))
