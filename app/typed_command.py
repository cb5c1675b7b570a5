"""The command that repeats a run, as it can be typed in any directory of this machine."""

import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

INSTALLED = "gemini-batch"
"""Name of the installed command."""
MODULE = "gemini_batch"


def format_command(
    prog: str,
    flags: Sequence[str],
    *,
    script: str,
    interpreter: str,
    find: Callable[[str], str | None] = shutil.which,
) -> str:
    """Return the command for a POSIX shell.

    The interpreter is named by its path, since ``python`` may be another one, without the packages, wherever
    the command is typed.

    Args:
        prog: how the program was started, as ``--help`` shows it.
        flags: all that follows the program's name.
        script: path of the file that was started.
        interpreter: path of the Python that runs it.
        find: returns the path of a command by its name; None if there is none.
    """
    path = Path(script).absolute()
    if prog == INSTALLED:
        start = [INSTALLED if _is_same(find(INSTALLED), path) else str(path)]
    else:
        start = [interpreter, *(["-m", MODULE] if prog.endswith(f"-m {MODULE}") else [str(path)])]
    return shlex.join([*start, *flags])


def _is_same(found: str | None, path: Path) -> bool:
    return found is not None and Path(found).resolve() == path.resolve()
