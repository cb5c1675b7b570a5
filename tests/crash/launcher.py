"""Launcher of the real program, which is killed or meets a full disk at an exact point.

``python -m tests.crash.launcher`` imports the program once and then, for every line of JSON on stdin (a
``Fault``), forks a process of its own that runs ``main.main``: a real process with a real end, without
the half second that imports take. The points are put around the standard library's ways to change a
file, and around named functions of the program, from outside; the program itself has no code for them.
"""

import errno
import importlib
import io
import itertools
import json
import os
import secrets
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.crash.surroundings import Surroundings, find_left_over, wait_and_signal
from utils import files

WHOLE_PROGRAM = ("main", "app.run", "app.finalize", "google.genai", "aiohttp", "PIL.Image", "genai_prices")
_WRITING_SQL = {"INSERT", "UPDATE", "DELETE", "CREATE", "COMMIT"}
_NEVER_FULL = {"os.unlink"}
"""Changes that need no space on the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault, and its point.

    ``act`` is ``none`` (only count the points), ``kill`` (SIGKILL), ``interrupt`` (two SIGINT, ``slow_s``
    apart and before it goes on), ``full`` (the disk is full from here on) or ``full once`` (and has space
    again at once).
    ``at`` is ``any`` change of a file, or before or after a function, as in
    ``after storage.output.commit:_write``.
    ``slow_s``: every point takes so long, in seconds, before anything happens there.
    """

    act: str = "none"
    nth: int = 1
    at: str = "any"
    slow_s: float = 0.0


class Points:
    """Counter of the points that the program passes; causes the fault at its point."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._lock = threading.Lock()
        self.passed = 0

    def pass_one(self, name: str) -> bool:
        """Pass a point; return whether the disk is full there."""
        time.sleep(self._fault.slow_s)  # noqa: TID251 - a slow disk blocks its thread
        with self._lock:
            self.passed += 1
            number = self.passed
        if self._fault.act == "kill" and number == self._fault.nth:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._fault.act == "interrupt" and number == self._fault.nth:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(self._fault.slow_s)  # noqa: TID251 - as above
        is_now = number == self._fault.nth or (self._fault.act == "full" and number > self._fault.nth)
        return is_now and self._fault.act.startswith("full") and name not in _NEVER_FULL


def _no_space_error() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _patch(points: Points, module: Any, name: str, changes: Callable[..., bool]) -> None:
    """Add a point before every call of a function of the standard library that changes a file."""
    original = getattr(module, name)

    def replacement(*args: Any, **kwargs: Any) -> Any:
        if changes(*args, **kwargs) and points.pass_one(f"{module.__name__}.{name}"):
            raise _no_space_error()
        return original(*args, **kwargs)

    setattr(module, name, replacement)


def _always(*_: Any, **__: Any) -> bool:
    return True


def _creates(_: Any, flags: int, *__: Any, **___: Any) -> bool:
    return bool(flags & os.O_CREAT)


def _writes(_: Any, mode: str = "r", *__: Any, **___: Any) -> bool:
    return mode[0] in "awx"


def _patch_files(points: Points) -> None:
    for name in ("fsync", "replace", "rename", "link", "mkdir", "unlink"):
        _patch(points, os, name, _always)
    _patch(points, os, "open", _creates)
    _patch(points, io, "open", _writes)


def _patch_sqlite(points: Points) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql.split(maxsplit=1)[0] in _WRITING_SQL and points.pass_one("sqlite"):
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise error
            return super().execute(sql, *parameters)

    original = sqlite3.connect
    setattr(sqlite3, "connect", lambda *args, **kwargs: original(*args, factory=Connection, **kwargs))  # noqa: B010


def _patch_function(points: Points, when: str, where: str) -> None:
    """Add a point before or after every call of ``module:name`` or ``module:Class.name``."""
    module, _, path = where.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for one in owners:
        owner = getattr(owner, one)
    original = getattr(owner, name)

    def replacement(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            points.pass_one(where)
        result = original(*args, **kwargs)
        if when == "after":
            points.pass_one(where)
        return result

    setattr(owner, name, replacement)


def prepare(fault: Fault) -> Points:
    """Add the points that the fault needs; return their counter."""
    points = Points(fault)
    if fault.at == "any":
        _patch_files(points)
        _patch_sqlite(points)
    else:
        _patch_function(points, *fault.at.split(maxsplit=1))
    return points


def _run(order: dict[str, Any], surroundings: Surroundings) -> int:
    """Run the program in this forked process, and end the process with it."""
    import main  # noqa: PLC0415 - when it is due, as in the program

    # Drawn when the module is imported: two runs that share it would find each other's unfinished files.
    setattr(files, "_PROCESS_TOKEN", secrets.token_hex(4))  # noqa: B010
    # Opened before there are points: this file is not the program's.
    with Path(order["points"]).open("w") as counter:
        surroundings.enter()
        points = prepare(Fault(**order["fault"]))
        code = main.main(order["argv"])
        counter.write(str(points.passed))
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _fork(order: dict[str, Any]) -> dict[str, Any]:
    """Return how the child ended, and what it left running."""
    surroundings = Surroundings(**order["surroundings"])
    child = os.fork()
    if child:
        end = wait_and_signal(child, surroundings)
        return {**asdict(end), "left_over": find_left_over(child, time.sleep)}  # noqa: TID251 - no event loop
    try:
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        os._exit(_run(order, surroundings))
    finally:
        os._exit(99)


def serve() -> None:
    """Run the program once for every order on stdin; write one line of JSON for each: how it ended."""
    for module in WHOLE_PROGRAM:
        importlib.import_module(module)
    for line in itertools.takewhile(bool, iter(sys.stdin.readline, "")):
        sys.stdout.write(f"{json.dumps(_fork(json.loads(line)))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
