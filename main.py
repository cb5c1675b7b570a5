"""How do the parts become one run, and with which exit code does the process end?

The composition root: the only file that holds the ``Settings``, reads the environment and the clock,
and meets signals. What a run needs is imported when it is due, so that ``--help`` and a wrong flag
pay for nothing.
"""

import asyncio
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import config
from errors import BatchError, ExitCode, FatalError, StopReason, StorageError, UsageError

if TYPE_CHECKING:
    from archiver import Archiver
    from batch import Batch
    from config import Settings, StatusRequest
    from journal import Journal, Plan
    from reporting.documents import ProcessingStats
    from status import Running
    from stopping import Stop
    from utils.lock import Holder

log = logging.getLogger(__name__)

PROGRAM_DIR = Path(__file__).resolve().parent
PICTURE_MODEL = "gemini-nano-banana-2.1"
"""Named to users whose prompt asks for pictures. Source: Google's list of models, November 2026."""
LOCK = ".gbp.lock"
"""In the output directory; the kernel holds it for one process."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came before the run was ready to be stopped in good order."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code (see ``errors.ExitCode``)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _expect_early_signals()
    try:
        env = os.environ  # noqa: TID251 - the one place that reads it
        wanted = config.load(arguments, env=env, dotenv_paths=[Path(".env"), PROGRAM_DIR / ".env"])
        if isinstance(wanted, config.StatusRequest):
            return _status(wanted)
        _set_up_logging(wanted)
        return _run_alone(wanted, _repeatable(arguments))
    except UsageError as error:
        return _end(ExitCode.USAGE, str(error))
    except BatchError as error:
        return _end(ExitCode.UNEXPECTED, str(error))
    except KeyboardInterrupt as error:
        name = "SIGTERM" if isinstance(error, TerminatedError) else "Ctrl-C"
        code = ExitCode.TERMINATED if isinstance(error, TerminatedError) else ExitCode.INTERRUPTED
        return _end(code, f"stopped by {name} before anything was asked")
    except Exception:  # the last resort: nothing below knew what to do, so it is our bug
        log.exception("unexpected error: this is a bug in the program, please report it")
        return ExitCode.UNEXPECTED


def _expect_early_signals() -> None:
    """Until a run can answer signals, and while it waits for the lock, none of them kills it silently."""

    def terminated(*_: object) -> None:
        raise TerminatedError

    signal.signal(signal.SIGTERM, terminated)
    for early in (signal.SIGHUP, signal.SIGUSR1):  # there is no log file and no state to tell of yet
        signal.signal(early, signal.SIG_IGN)


def _repeatable(arguments: Sequence[str]) -> str:
    """Return the command for people to type again, without the ping's URL, which is a secret."""
    kept = [
        word
        for before, word in zip(["", *arguments], arguments, strict=False)
        if "--ping" not in {before, word} and not word.startswith("--ping=")
    ]
    return shlex.join(["python", "main.py", *kept])


def console() -> None:
    """Be the ``gemini-batch`` command."""
    sys.exit(main())


def _run_alone(settings: "Settings", command: str) -> int:
    """Do the run while this process alone holds the output directory, and tell the dead-man's switch."""
    from utils.lock import LockedError, locked, read_holder

    with ExitStack() as stack:
        lock = settings.output_dir / LOCK
        now = f"{_utcnow():%Y-%m-%dT%H:%M:%SZ}"
        try:
            settings.output_dir.mkdir(parents=True, exist_ok=True)
            if settings.wait_lock_s and read_holder(lock):
                log.info("another run holds %s: waiting for it", settings.output_dir)
            stack.enter_context(locked(lock, wait_s=settings.wait_lock_s, started_at=now))
        except LockedError as error:
            return _end(ExitCode.LOCKED, _held_by(settings.output_dir, error.holder))
        except OSError as error:
            raise StorageError(f"{lock} cannot be written: {error.strerror}; nothing was asked") from error
        return _told(settings, lambda: asyncio.run(run(settings, command)))


def _held_by(output_dir: Path, holder: "Holder | None") -> str:
    who = f"process {holder.pid} on {holder.host} since {holder.started_at}" if holder else "another run"
    return f"{output_dir} is held by {who}: nothing was done. Next: wait for it, or use --wait-lock."


def _told(settings: "Settings", work: Callable[[], int]) -> int:
    if settings.ping_url is None:
        return work()
    from utils.ping import Ping

    ping, code = Ping(settings.ping_url), int(ExitCode.UNEXPECTED)
    ping.start()
    try:
        code = work()
    finally:
        with suppress(KeyboardInterrupt):  # the work is done: its end stands whatever happens here
            _ = ping.success() if code == ExitCode.DONE else ping.fail(code)
    return code


def _running(holder: "Holder") -> "Running":
    from status import Running

    started_at = datetime.fromisoformat(holder.started_at)
    return Running(pid=holder.pid, host=holder.host, started_at=started_at)


async def run(settings: "Settings", command: str) -> int:
    """Do one run, from the first look at the input to the last document; return its exit code."""
    import compose
    from reporting.tally import Tally
    from stopping import Stop

    stop, tally, info = Stop(), Tally(), compose.run_info(settings, _utcnow)
    archiver = compose.archiver(settings, info)
    archiver.check_writable()
    archiver.sweep()
    with compose.journal(settings, info, archiver, _utcnow) as journal:
        _reconcile(journal, archiver)
        clock = asyncio.get_running_loop().time
        batch = compose.batch(
            settings,
            journal,
            archiver,
            tally=tally,
            stop=stop,
            stderr=sys.stderr,
            clock=clock,
            utcnow=_utcnow,
        )
        await _until_signalled(_work(settings, batch, stop), stop, settings.grace_s, batch.state)
        epilogue = compose.epilogue(settings, info, journal, archiver, command=command, utcnow=_utcnow)
        stats, archive = await asyncio.to_thread(epilogue.write, tally, batch.planned, stop.cause)
    return _tell(settings, archiver, stats, archive)


async def _work(settings: "Settings", batch: "Batch", stop: "Stop") -> None:
    import compose

    plan = await asyncio.to_thread(batch.plan, compose.selection(settings))
    _announce(settings, plan)
    if stop.cause is not None or not (plan.todo or plan.copyable):
        return
    if not batch.has_space(compose.bytes_per_answer(settings)):
        return
    await asyncio.to_thread(batch.place_copies)
    async with compose.model(settings) as model:
        await batch.process(compose.processor(settings, model, batch, stop=stop, utcnow=_utcnow), plan)


async def _until_signalled(
    work: Coroutine[None, None, None], stop: "Stop", grace_s: float, state: Callable[[], str]
) -> None:
    """Do the work. The first signal lets calls in flight finish, the second or the grace's end cancels."""
    from utils.logger import reopen_log_file

    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def on_signal(reason: StopReason, name: str) -> None:
        if task.done():
            log.warning(
                "%s: all calls have ended; only the documents and the archive are still written", name
            )
            return
        if stop.cause is not None:
            task.cancel()
            return
        log.warning("%s: calls in flight are finished (at most %.0f s); again cancels them", name, grace_s)
        stop.ask(FatalError(reason, f"stopped by {name}"))
        loop.call_later(grace_s, task.cancel)

    loop.add_signal_handler(signal.SIGINT, on_signal, StopReason.INTERRUPTED, "Ctrl-C")
    loop.add_signal_handler(signal.SIGTERM, on_signal, StopReason.TERMINATED, "SIGTERM")
    loop.add_signal_handler(signal.SIGHUP, reopen_log_file)
    loop.add_signal_handler(signal.SIGUSR1, lambda: sys.stderr.write(f"{state()}\n"))
    try:
        await task
    except asyncio.CancelledError:
        if stop.cause is None:
            raise


def _status(wanted: "StatusRequest") -> int:
    """Print how far the results of an output directory are; changes nothing there."""
    from status import open_status, status_report
    from utils.lock import read_holder

    with open_status(wanted.output_dir) as reader:
        holder = read_holder(wanted.output_dir / LOCK)
        running = _running(holder) if holder else None
        report = status_report(reader, output_dir=str(wanted.output_dir), running=running, now=_utcnow())
    sys.stdout.write(report)
    return ExitCode.DONE


def _reconcile(journal: "Journal", archiver: "Archiver") -> None:
    """Make journal and tree agree again after a crash or damage."""
    for notice in journal.notices:
        log.warning("%s", notice)
    if journal.needs_ledger:
        adopted = journal.adopt(archiver.ledger(), archiver.proves)
        if adopted:
            log.info(
                "%d answers that the journal did not know were found in the tree and taken over", adopted
            )
    journal.begin_run()


def _announce(settings: "Settings", plan: "Plan") -> None:
    """Say what is about to happen, before anything is paid for."""
    from gemini import produces_images
    from journal import TodoReason
    from prompt_optimizer import asks_for_picture

    if settings.dry_run:
        log.info("dry run: nothing is sent and nothing is paid; every answer is simulated")
    log.info(
        "%d images in %s: %d to ask %s about, %d answered already, %d known to fail",
        plan.found,
        settings.input_dir,
        plan.todo,
        settings.model,
        plan.answered + plan.copyable,
        sum(plan.known_failures.values()),
    )
    lost = plan.reasons.get(TodoReason.LOST, 0)
    if lost:
        log.warning(
            "%d answers no longer stand as they were written: their images are asked about again", lost
        )
    if plan.todo and asks_for_picture(settings.prompt) and not produces_images(settings.model):
        log.info(
            "the prompt seems to ask for a picture, but %s answers in words; "
            "--model %s would return pictures (about $0.04 each, prices of November 2026)",
            settings.model,
            PICTURE_MODEL,
        )


def _tell(settings: "Settings", archiver: "Archiver", stats: "ProcessingStats", archive: Path | None) -> int:
    """Print how the run ended; nothing at all when a quiet run went well."""
    from reporting.closing import Where, is_nothing_new, last_line, summary

    if settings.quiet and stats.exit_code == ExitCode.DONE:
        return _end(ExitCode.DONE, last_line(stats))  # which only a log file hears
    where = Where(
        output_dir=str(settings.output_dir),
        metadata=str(archiver.documents),
        archive=str(archive) if archive else None,
    )
    if is_nothing_new(stats):  # one line is enough to say so
        return _end(ExitCode.DONE, last_line(stats))
    sys.stdout.write(summary(stats, where, dry_run=settings.dry_run))
    sys.stdout.flush()
    return _end(ExitCode(stats.exit_code), last_line(stats))


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
    """Say the reason and the next step, on stderr and in the log file; return the exit code."""
    if logging.getLogger().handlers:
        log.log(logging.INFO if code is ExitCode.DONE else logging.ERROR, "%s", line)
    else:  # nothing is set up yet, so the settings are at fault
        sys.stderr.write(f"{line}\n")
    return code


def _utcnow() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock


if __name__ == "__main__":
    console()
