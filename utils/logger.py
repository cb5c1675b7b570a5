"""How does the program speak while it works, and how is nothing secret or forged ever said?

A record is one line, with secrets struck out and control characters escaped, whatever a file's name
or an exception holds. The bar that shares the terminal with the records is in ``utils.progress``.
This file must not know what the program works on.
"""

import logging
import re
import sys
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, quote_plus

_log = logging.getLogger(__name__)

SHORTEST_SECRET = 6
"""Characters; striking out something shorter would mangle ordinary words and protect nothing."""

_STRUCK_OUT = "[secret]"
# C0 and C1 controls, line and paragraph separators, marks that reorder text, and lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_TALKATIVE = ("PIL", "aiohttp", "asyncio", "google_genai", "httpcore2", "httpx2", "urllib3")


def one_line(text: str) -> str:
    r"""Return ``text`` with all that could start a line or command a terminal as ``\x0a`` and the like."""
    return _UNPRINTABLE.sub(lambda found: _escaped(ord(found.group())), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def redactor(secrets: Collection[str]) -> Callable[[str], str]:
    """Return what strikes ``secrets`` out of a text, in the spellings URLs and quoted text give them.

    A secret of fewer than ``SHORTEST_SECRET`` characters is left alone.
    """
    spellings = {one for secret in secrets if len(secret) >= SHORTEST_SECRET for one in _spellings(secret)}
    if not spellings:
        return lambda text: text
    # The longest first, so that no rest of a longer spelling stays; %2f is %2F, so case is no matter.
    longest_first = sorted(spellings, key=lambda one: (-len(one), one))
    pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
    return lambda text: pattern.sub(_STRUCK_OUT, text)


def _spellings(secret: str) -> set[str]:
    return {secret, repr(secret)[1:-1], quote(secret), quote(secret, safe=""), quote_plus(secret)}


def set_up_logging(*, level: str, log_file: Path | None, secrets: Collection[str], stream: TextIO) -> None:
    """Send the records of all loggers to ``stream`` and, when given, to the end of ``log_file``.

    Calling it again replaces what the last call set up.

    Args:
        level: the least level for ``stream``; the file gets ``INFO`` as well even when this is higher.
        log_file: made with its directories when missing; every line begins with its time in UTC.
        secrets: texts that are struck out of everything.
        stream: for people, usually stderr; a bar on it is not torn.

    Raises:
        OSError: when the log file cannot be opened.

    """
    redact = redactor(secrets)
    console = _ConsoleHandler(stream)
    console.setLevel(level)
    console.setFormatter(_SafeFormatter(redact, _console_prefix))
    handlers: list[logging.Handler] = [console]
    if log_file is not None:
        handlers.append(_file_handler(log_file, redact, level))
    _install(handlers)


def _file_handler(path: Path, redact: Callable[[str], str], level: str) -> logging.Handler:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setLevel(min(logging.INFO, logging.getLevelNamesMapping()[level]))
    handler.setFormatter(_SafeFormatter(redact, _file_prefix))
    return handler


def _install(handlers: list[logging.Handler]) -> None:
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _ConsoleHandler | _FileHandler)]:
        root.removeHandler(old)
        with suppress(OSError):  # a full disk was told of when it was met
            old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(min(handler.level for handler in handlers))
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class _SafeFormatter(logging.Formatter):
    """One line per record, and indented lines for a traceback, which so cannot pose as records."""

    def __init__(self, redact: Callable[[str], str], prefix: Callable[[logging.LogRecord], str]) -> None:
        super().__init__()
        self._redact, self._prefix = redact, prefix

    def format(self, record: logging.LogRecord) -> str:
        lines = [self._prefix(record) + one_line(self._redact(_message(record)))]
        traces = [self.formatException(record.exc_info)] if record.exc_info else []
        traces += [record.stack_info] if record.stack_info else []
        for trace in traces:
            lines += [f"    | {one_line(line)}" for line in self._redact(trace).split("\n")]
        return "\n".join(lines)


def _console_prefix(record: logging.LogRecord) -> str:
    return f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""


def _file_prefix(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return f"{moment.replace('+00:00', 'Z')} {record.levelname} {record.name}: "


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # A caller's slip must not end in the standard library's own report, which redacts nothing.
        return f"{record.msg} {record.args!r}"


class _ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes above a bar that stands on the same terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        bars = sys.modules.get("tqdm")  # not imported: no bar can stand
        with bars.tqdm.external_write_mode(file=self.stream) if bars else nullcontext():
            super().emit(record)

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Keep silent: people cannot be reached, and the standard report would redact nothing."""


class _FileHandler(logging.FileHandler):
    """Says once, to people, that the file cannot be written (the disk is full, say)."""

    _said = False

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        if not self._said:
            self._said = True  # before the next line, which comes by here again
            _log.warning("the log file %s cannot be written: %s", self.baseFilename, sys.exception())
