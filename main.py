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
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import config
from errors import BatchError, ExitCode, FatalError, StopReason, UsageError

if TYPE_CHECKING:
    from archiver import Archiver
    from batch import Batch
    from config import Settings
    from documents import ProcessingStats
    from journal import Journal, Plan
    from stopping import Stop

log = logging.getLogger(__name__)

PROGRAM_DIR = Path(__file__).resolve().parent
PICTURE_MODEL = "gemini-nano-banana-2.1"
"""Named to users whose prompt asks for pictures. Source: Google's list of models, November 2026."""
GRACE_S = 30.0
"""How long calls in flight may go on after the first signal, in seconds."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code (see ``errors.ExitCode``)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        env = os.environ  # noqa: TID251 - the one place that reads it
        settings = config.load(arguments, env=env, dotenv_paths=[Path(".env"), PROGRAM_DIR / ".env"])
        _set_up_logging(settings)
        return asyncio.run(run(settings, shlex.join(["python", "main.py", *arguments])))
    except UsageError as error:
        return _end(ExitCode.USAGE, str(error))
    except BatchError as error:
        return _end(ExitCode.UNEXPECTED, str(error))
    except KeyboardInterrupt:
        return _end(ExitCode.INTERRUPTED, "stopped by Ctrl-C before anything was asked")
    except Exception:  # the last resort: nothing below knew what to do, so it is our bug
        log.exception("unexpected error: this is a bug in the program, please report it")
        return ExitCode.UNEXPECTED


def console() -> None:
    """Be the ``gemini-batch`` command."""
    sys.exit(main())


async def run(settings: "Settings", command: str) -> int:
    """Do one run, from the first look at the input to the last document; return its exit code."""
    import compose
    from journal import Selection
    from stopping import Stop
    from tally import Tally

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
        plan = await asyncio.to_thread(batch.plan, Selection())
        _announce(settings, plan)
        await _until_signalled(_process(settings, batch, plan, stop), stop)
        epilogue = compose.epilogue(settings, info, journal, archiver, command=command, utcnow=_utcnow)
        stats, archive = await asyncio.to_thread(epilogue.write, tally, plan, stop.cause)
    return _tell(settings, archiver, stats, archive)


async def _process(settings: "Settings", batch: "Batch", plan: "Plan", stop: "Stop") -> None:
    import compose

    await asyncio.to_thread(batch.place_copies)
    if plan.todo or plan.copyable:
        async with compose.model(settings) as model:
            await batch.process(compose.processor(settings, model, batch, stop=stop, utcnow=_utcnow), plan)


async def _until_signalled(work: Coroutine[None, None, None], stop: "Stop") -> None:
    """Do the work. The first signal lets calls in flight finish, the second or the grace's end cancels."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def on_signal(reason: StopReason, name: str) -> None:
        if stop.cause is not None:
            task.cancel()
            return
        log.warning("%s: calls in flight are finished (at most %.0f s); again cancels them", name, GRACE_S)
        stop.ask(FatalError(reason, f"stopped by {name}"))
        loop.call_later(GRACE_S, task.cancel)

    loop.add_signal_handler(signal.SIGINT, on_signal, StopReason.INTERRUPTED, "Ctrl-C")
    loop.add_signal_handler(signal.SIGTERM, on_signal, StopReason.TERMINATED, "SIGTERM")
    try:
        await task
    except asyncio.CancelledError:
        if stop.cause is None:
            raise


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
    if plan.todo and asks_for_picture(settings.prompt) and not produces_images(settings.model):
        log.info(
            "the prompt seems to ask for a picture, but %s answers in words; "
            "--model %s would return pictures (about $0.04 each, prices of November 2026)",
            settings.model,
            PICTURE_MODEL,
        )


def _tell(settings: "Settings", archiver: "Archiver", stats: "ProcessingStats", archive: Path | None) -> int:
    """Print how the run ended; nothing at all when a quiet run went well."""
    from closing import Where, last_line, summary

    if settings.quiet and stats.exit_code == ExitCode.DONE:
        return stats.exit_code
    where = Where(
        output_dir=str(settings.output_dir),
        metadata=str(archiver.documents),
        archive=str(archive) if archive else None,
    )
    sys.stdout.write(summary(stats, where, dry_run=settings.dry_run))
    sys.stdout.flush()
    return _end(ExitCode(stats.exit_code), last_line(stats))


def _set_up_logging(settings: "Settings") -> None:
    from utils.logger import set_up_logging

    key = settings.api_key.get_secret_value() if settings.api_key else ""
    try:
        set_up_logging(level=settings.log_level, log_file=settings.log_file, secrets=[key], stream=sys.stderr)
    except OSError as error:
        raise UsageError(f"--log-file cannot be written: {settings.log_file} ({error.strerror})") from error


def _end(code: ExitCode, line: str) -> int:
    sys.stderr.write(f"{line}\n")
    return code


def _utcnow() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock


if __name__ == "__main__":
    console()
