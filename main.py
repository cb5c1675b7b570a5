"""The program's entry: arguments, lock, logging, exit code.

The environment and the wall clock are read here and nowhere else. What a run needs is imported when it is
due, so that ``--help`` and a wrong flag are fast.
"""

import errno
import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if sys.version_info < (3, 11):  # noqa: UP036 - before an import fails: a sentence with the command to type
    from utils.requirements import find_python_problem

    words = [] if "--ping" in " ".join(sys.argv) else sys.argv[1:]  # its URL is a secret
    sys.stderr.write(f"{find_python_problem(words)}\n")
    sys.exit(2)

import config
from errors import BatchError, ExitCode, StorageError, UsageError

if TYPE_CHECKING:
    import logging
    from datetime import datetime

    from app.deadline import Deadline
    from app.status import RunningProcess
    from config import JobText, Settings, StatusRequest
    from utils.held_lock import HeldLock
    from utils.lock import LockHolder

PROGRAM_DIR = Path(__file__).resolve().parent
LOCK = ".gbp.lock"
"""Name in the output directory of the file that the kernel locks for one process."""

DESCRIPTORS = 128
"""Files that a run may have open besides its connections, at most."""

NO_MEMORY = (
    "there is not enough memory, or there are too few threads or open files, to go on; what was answered is"
    " kept. Next: give the program more (ulimit -v, -u and -n, the limits of the container or service), then"
    " run the same command again."
)


NOT_USABLE = (
    "the disk cannot be used any more; every answer that stands is kept. Next: make it writable, then run the"
    " same command again."
)
_OUTSIDE_FAULTS = frozenset(
    {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EIO}
    | {errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO}
)
"""Errors of the system that are no bug of the program, wherever they come from."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came before the run could answer signals itself."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code (see ``errors.ExitCode``)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _handle_early_signals()
    gc.disable()  # until a run begins to plan: what imports make stays, and looking at it takes 30 ms
    try:
        env = os.environ  # noqa: TID251 - the one place that reads it
        prog = _started_as(sys.argv[0])
        request = config.load(arguments, env=env, dotenv_paths=_dotenv_paths(), prog=prog)
        if not isinstance(request, config.Settings):
            return _answer(request)
        return _run_for_input(request, prog)
    except UsageError as error:
        return _end(ExitCode.USAGE, str(error))
    except BatchError as error:
        return _end(ExitCode.UNEXPECTED, str(error))
    except KeyboardInterrupt as error:
        name = "SIGTERM" if isinstance(error, TerminatedError) else "Ctrl-C"
        code = ExitCode.TERMINATED if isinstance(error, TerminatedError) else ExitCode.INTERRUPTED
        return _end(code, f"stopped by {name} before anything was asked")
    except Exception as error:  # noqa: BLE001 - the last resort, and logged
        return _end_unexpectedly(error)


def _answer(request: "StatusRequest | JobText") -> int:
    """Print what was asked for in place of a run."""
    if isinstance(request, config.StatusRequest):
        return _print_status(request)
    sys.stdout.write(request.text)
    return ExitCode.DONE


def _end_unexpectedly(error: Exception) -> int:
    """Print that memory is short, or that the program has a bug."""
    from utils.memory import is_shortage
    from utils.requirements import explain_import

    if is_shortage(error):
        return _end(ExitCode.UNEXPECTED, NO_MEMORY)
    if isinstance(error, OSError) and error.errno in _OUTSIDE_FAULTS:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return _end(ExitCode.UNEXPECTED, f"{where}{error.strerror}: {NOT_USABLE}")
    problem = explain_import(error)
    if problem is not None:
        return _end(ExitCode.USAGE, problem)
    _log().exception("unexpected error: this is a bug in the program, please report it", exc_info=error)
    return ExitCode.UNEXPECTED


def _handle_early_signals() -> None:
    """Raise on SIGTERM, and ignore SIGHUP and SIGUSR1, until the run answers signals itself."""

    def on_sigterm(*_: object) -> None:
        raise TerminatedError

    signal.signal(signal.SIGTERM, on_sigterm)
    for signum in (signal.SIGHUP, signal.SIGUSR1):  # there is no log file and no progress yet
        signal.signal(signum, signal.SIG_IGN)


def _started_as(path: str) -> str:
    """Return how the program was started, by the path in ``sys.argv[0]``."""
    name = Path(path).name
    if name.removesuffix(".exe") == "gemini-batch":
        return "gemini-batch"
    if name == "__main__.py" and Path(path).resolve().parent == PROGRAM_DIR:
        return "python -m gemini_batch"
    return "python main.py"


def _dotenv_paths() -> list[Path]:
    """Return the paths of ``.env``: in the working directory, and beside this file in a checkout."""
    is_checkout = (PROGRAM_DIR / "pyproject.toml").exists()
    return [Path(".env"), *([PROGRAM_DIR / ".env"] if is_checkout else [])]


def _format_command(prog: str, settings: "Settings") -> str:
    """Return the command that repeats the run, for the advice in the reports."""
    from app.typed_command import format_command

    return format_command(prog, settings.repeat_flags, script=sys.argv[0], interpreter=sys.executable)


def console() -> None:
    """Run the program as a process of its own: the entry point of ``gemini-batch``."""
    from utils.standard_streams import protect_standard_streams

    protect_standard_streams()
    _exit(main())


def _exit(code: int) -> NoReturn:
    """End the process; the interpreter would wait for abandoned work to end, whatever signals come."""
    threads = sys.modules.get("utils.threads")
    if threads and threads.is_work_abandoned():
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _run_for_input(settings: "Settings", prog: str) -> int:
    """Run, and leave nothing that is easier to read than the images; return the exit code."""
    from utils.permissions import no_wider_than

    with no_wider_than(settings.input_dir):
        _set_up_logging(settings)
        for notice in settings.notices:
            _log().warning("%s", notice)
        return _run_locked(settings, _format_command(prog, settings))


def _run_locked(settings: "Settings", command: str) -> int:
    """Run while this process alone holds the output directory; return the exit code."""
    from app.deadline import compute_deadline
    from app.output_folder import describe_missing_output, find_output_folder
    from app.output_lock import describe_locked, hold_output_dir
    from utils.descriptors import make_room
    from utils.interpreter import configure_interpreter
    from utils.lock import LockedError

    configure_interpreter()
    make_room(DESCRIPTORS)
    # Before the lock: a run that gets it at 06:05 has missed the deadline 06:00, and has no day left.
    deadline = compute_deadline(_utcnow(), deadline=settings.deadline, max_duration_s=settings.max_duration_s)
    missing = describe_missing_output(settings)
    if missing:
        return _end(_ping_failure(settings, ExitCode.NO_OUTPUT), missing)
    lock = find_output_folder(settings) / LOCK
    with ExitStack() as stack:
        try:
            held = stack.enter_context(hold_output_dir(settings, lock, deadline, utcnow=_utcnow))
        except LockedError as error:
            if deadline and not deadline.seconds_left(_utcnow()):
                text = f"{deadline.cause} while another run held {settings.output_dir}"
                return _end(ExitCode.DEADLINE, text)
            return _end(ExitCode.LOCKED, describe_locked(lock, error.holder))
        return _run_with_healthcheck(settings, command, held, deadline)


def _ping_failure(settings: "Settings", code: ExitCode) -> ExitCode:
    """Send the monitoring service of ``--ping`` that nothing was begun; return the exit code."""
    from utils.healthcheck import HealthcheckPing

    if settings.ping_url is not None:
        HealthcheckPing(settings.ping_url).fail(code)
    return code


def _run_with_healthcheck(
    settings: "Settings", command: str, lock: "HeldLock", deadline: "Deadline | None"
) -> int:
    """Run, and send the monitoring service of ``--ping`` the start and the end."""
    if settings.ping_url is None:
        return _run(settings, command, lock, deadline)
    from utils.healthcheck import HealthcheckPing

    ping, code = HealthcheckPing(settings.ping_url), int(ExitCode.UNEXPECTED)
    ping.start()
    try:
        code = _run(settings, command, lock, deadline)
    finally:
        with suppress(
            KeyboardInterrupt
        ):  # the run has ended: a Ctrl-C during the ping does not change its exit code
            _ = ping.success() if code == ExitCode.DONE else ping.fail(code)
    return code


def _run(settings: "Settings", command: str, lock: "HeldLock", deadline: "Deadline | None") -> int:
    """Run, and print how it ended; return the exit code."""
    import asyncio

    from app import run
    from app.signals import LeftError
    from utils.steady_loop import SteadyLoop
    from utils.threads import leave_work

    with ExitStack() as stack:
        runner = asyncio.Runner(loop_factory=SteadyLoop)
        stack.callback(runner.close)
        try:
            runner.get_loop()  # a signal while it is made leaves no run behind that was not begun
            task = run.run(settings, command, lock=lock, deadline=deadline, utcnow=_utcnow)
            code, line = runner.run(task)
        except LeftError as left:
            stack.pop_all()  # closing would wait for what does not end
            leave_work()
            return _end(left.code, left.line)
        # The loop takes its handlers with it, and a terminal that closes now must not change the exit code.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    return _end(code, line)


def _to_running_process(holder: "LockHolder") -> "RunningProcess":
    from datetime import datetime

    from app.status import RunningProcess

    started_at = datetime.fromisoformat(holder.started_at)
    return RunningProcess(pid=holder.pid, host=holder.host, started_at=started_at)


def _print_status(request: "StatusRequest") -> int:
    """Write the state of an output directory to stdout; change nothing there."""
    from app.status import find_status_folder, format_status, open_status, read_stopped_run
    from utils.lock import read_holder
    from utils.standard_streams import output_error

    folder = find_status_folder(request.output_dir)
    with open_status(folder) as reader:
        holder = read_holder(folder / LOCK)
        running = _to_running_process(holder) if holder else None
        report = format_status(
            reader,
            output_dir=str(folder),
            running=running,
            now=_utcnow(),
            stopped=read_stopped_run(folder),
        )
    sys.stdout.write(report)
    sys.stdout.flush()
    error = output_error()
    if error is not None:
        raise StorageError(f"the report cannot be written to standard output: {error.strerror}")
    return ExitCode.DONE


def _set_up_logging(settings: "Settings") -> None:
    from utils.logger import set_up_logging

    key = settings.api_key.get_secret_value() if settings.api_key else ""
    try:
        set_up_logging(
            level=settings.log_level,
            log_file=settings.log_file,
            secrets=[key, settings.ping_url or ""],
            stream=sys.stderr,
            as_json=settings.log_json,
        )
    except OSError as error:
        raise UsageError(f"--log-file cannot be written: {settings.log_file} ({error.strerror})") from error


def _end(code: ExitCode, line: str) -> int:
    """Write the last line to the log, or to stderr before there is one; return the exit code."""
    logging = sys.modules.get("logging")  # not imported yet: --help and a wrong flag do without it
    if logging and logging.getLogger().handlers:
        _log().log(logging.INFO if code is ExitCode.DONE else logging.ERROR, "%s", line)
    else:  # the settings are at fault, so logging is not set up yet
        from utils.printable import escape_lines

        sys.stderr.write(f"{escape_lines(line)}\n")
    return code


def _log() -> "logging.Logger":
    import logging

    return logging.getLogger(__name__)


def _utcnow() -> "datetime":
    from datetime import UTC, datetime

    return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock


if __name__ == "__main__":
    console()
