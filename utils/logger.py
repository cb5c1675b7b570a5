"""Logging: records as lines or JSON, without secrets and without forged lines.

A record is one line; secrets are removed and control characters escaped, whatever a file name or an
exception holds. Records are written above the bar of ``utils.progress``.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from io import BufferedWriter, FileIO, TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, quote_plus

from utils.printable import UNPRINTABLE, escape_unprintable

_log = logging.getLogger(__name__)

MIN_SECRET_LENGTH = 6
"""Shortest secret that is removed; a shorter one is part of ordinary words."""

_REDACTED = "[secret]"
_NOISY_LOGGERS = ("PIL", "aiohttp", "asyncio", "google_genai", "httpcore2", "httpx2", "urllib3")


def make_redactor(secrets: Collection[str]) -> Callable[[str], str]:
    """Return a function that removes ``secrets`` from a text, also as URLs, JSON and ``repr`` spell them.

    Secrets of fewer than ``MIN_SECRET_LENGTH`` characters are kept.
    """
    spellings = {one for secret in secrets if len(secret) >= MIN_SECRET_LENGTH for one in _spellings(secret)}
    if not spellings:
        return lambda text: text
    # The longest first, so that no rest of a longer spelling stays; any case, because %2f is %2F.
    longest_first = sorted(spellings, key=lambda one: (-len(one), one))
    escaped = (_escaped_spelling(one) for one in secrets if len(one) >= MIN_SECRET_LENGTH)
    pattern = re.compile("|".join((*map(re.escape, longest_first), *escaped)), re.IGNORECASE)
    return lambda text: pattern.sub(_REDACTED, text)


def _escaped_spelling(secret: str) -> str:
    """Return a pattern of the secret with any of its characters escaped, as JSON, Python, URLs or HTML do."""
    return "".join(map(_escaped_sign, secret))


def _escaped_sign(sign: str) -> str:
    code = ord(sign)
    return rf"(?:{re.escape(sign)}|\\+u{code:04x}|\\+x{code:02x}|%{code:02x}|&\#{code};|&\#x{code:x};)"


def _spellings(secret: str) -> set[str]:
    return {secret, repr(secret)[1:-1], quote(secret), quote(secret, safe=""), quote_plus(secret)}


def set_up_logging(
    *,
    level: str,
    log_file: Path | None,
    secrets: Collection[str],
    stream: TextIO,
    as_json: bool = False,
    max_bytes: int = 10_000_000,
    backups: int = 3,
) -> None:
    """Send the records of all loggers to ``stream`` and, if given, to the end of ``log_file``.

    A second call replaces the handlers of the first.

    Args:
        level: lowest level for ``stream``; the file gets ``INFO`` even if this is higher.
        log_file: created with its directories if missing; every line begins with its time in UTC.
        secrets: texts that are removed from all records.
        stream: for the user, usually stderr; records do not break a bar on it.
        as_json: write one object a line (time, level, logger, message, exception) to the file, or to
            ``stream`` if there is no file.
        max_bytes: before the file exceeds this size it is renamed to ``<name>.1`` and a new one begins; 0:
            never. A link or a device is never renamed.
        backups: number of renamed files that are kept; 0: the file grows.

    Raises:
        OSError: the log file cannot be opened.
    """
    redact = make_redactor(secrets)
    console = _ConsoleHandler(stream)
    console.setLevel(level)
    console.setFormatter(_SafeFormatter(redact, _console_prefix))
    handlers: list[logging.Handler] = [console]
    if log_file is not None:
        handlers.append(_FileHandler(log_file, max_bytes=max_bytes, backups=backups))
        handlers[-1].setLevel(min(logging.INFO, console.level))
        handlers[-1].setFormatter(_SafeFormatter(redact, _file_prefix))
    if as_json:
        handlers[-1].setFormatter(_JsonFormatter(redact))
    _install_handlers(handlers)


def reopen_log_file() -> None:
    """Open a new log file at the old path, after ``logrotate`` has moved the file.

    If that fails, a warning is logged and the old file is written further, wherever it is now.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _FileHandler):
            handler.reopen()


def _install_handlers(handlers: list[logging.Handler]) -> None:
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _ConsoleHandler | _FileHandler)]:
        root.removeHandler(old)
        with suppress(OSError):  # ``handleError`` has already warned of a full disk
            old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(min(handler.level for handler in handlers))
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


class _SafeFormatter(logging.Formatter):
    """One line per record; the lines of a traceback are indented, so that they cannot look like records."""

    def __init__(self, redact: Callable[[str], str], prefix: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._redact, self._prefix = redact, prefix

    def format(self, record: logging.LogRecord) -> str:
        lines = [self._prefix(record) + escape_unprintable(self._redact(_format_message(record)))]
        for trace in _format_traces(self, record):
            lines += [f"    | {escape_unprintable(line)}" for line in self._redact(trace).split("\n")]
        return "\n".join(lines)


class _JsonFormatter(logging.Formatter):
    """One JSON object per record, on one line, without terminal commands."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": _format_time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": self._redact(_format_message(record)),
        }
        traces = _format_traces(self, record)
        if traces:
            fields["exception"] = self._redact("\n".join(traces))
        # Unprintable characters occur within JSON strings only, where this escape is valid.
        text = json.dumps(fields, ensure_ascii=False)
        return UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _format_traces(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    traces = [formatter.formatException(record.exc_info)] if record.exc_info else []
    return [*traces, record.stack_info] if record.stack_info else traces


def _console_prefix(record: logging.LogRecord) -> str:
    return f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""


def _file_prefix(record: logging.LogRecord) -> str:
    return f"{_format_time(record)} {record.levelname} {record.name}: "


def _format_time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def _format_message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # Wrong arguments of a caller: the standard library's report would not remove secrets.
        return f"{record.msg} {record.args!r}"


class _ConsoleHandler(logging.StreamHandler[TextIO]):
    """A handler that writes above a bar on the same terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        bars = sys.modules.get("tqdm")  # not imported: there is no bar
        with bars.tqdm.external_write_mode(file=self.stream) if bars else nullcontext():
            super().emit(record)

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Do nothing: the stream is closed, and the library's report would not remove secrets."""


class _FileHandler(RotatingFileHandler):
    """A handler that warns once if the file cannot be written (because the disk is full, for example)."""

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._max_bytes = max_bytes
        self._has_warned = False
        super().__init__(
            path, maxBytes=self._max_bytes, backupCount=backups, encoding="utf-8", errors="backslashreplace"
        )

    def _open(self) -> TextIOWrapper:
        """Open without waiting: a pipe that nothing reads from is an error, and a full one loses a line."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
        file = FileIO(os.open(self.baseFilename, flags, 0o666), "a")
        return TextIOWrapper(BufferedWriter(file), encoding=self.encoding, errors=self.errors)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the library's name
        """Return False for a link: it may be ``/dev/stderr``, which root could rename."""
        return not Path(self.baseFilename).is_symlink() and bool(super().shouldRollover(record))

    def doRollover(self) -> None:  # noqa: N802 - the library's name
        """Rename the file; if that fails, write on in it, because a long log is better than a lost one."""
        try:
            super().doRollover()
        except OSError as error:
            self.maxBytes = 0  # otherwise every later record tries again and is lost
            self.stream = None
            self.stream = self._open()
            self._warn("put aside", error)

    def reopen(self) -> None:
        """Open the path again; the old file is closed only when the new one is open."""
        self.acquire()
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
            old, self.stream = self.stream, self._open()
            self._has_warned, self.maxBytes = False, self._max_bytes
        except OSError as error:
            self._warn("opened anew", error)
            return
        finally:
            self.release()
        if old is not None:
            with suppress(OSError):  # ``handleError`` has already warned of a full disk
                old.close()

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        if not self._has_warned:
            self._has_warned = True  # before the warning, which may fail here again
            self._warn("written", sys.exception())

    def _warn(self, what: str, error: BaseException | None) -> None:
        _log.warning("the log file %s cannot be %s: %s", self.baseFilename, what, error)
