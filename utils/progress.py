"""Progress: one bar on a terminal, elsewhere a plain line at intervals, or nothing.

The bar has several forms and uses the longest that fits, so that the status text at its end is not cut off.
The callers give the numbers, their names, and ``status_text`` (such as the reason of a pause).
"""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from threading import RLock
from typing import TYPE_CHECKING, NoReturn, Protocol, TextIO

if TYPE_CHECKING:
    from tqdm import tqdm

LINE_INTERVAL_S = 30.0

_COUNT = "{n_fmt}/{total_fmt} |{bar}| {desc}"
_WITH_TIME = f"{_COUNT}  {{remaining}} left"
_FULL = f"{_COUNT}  {{rate_noinv_fmt}}, {{remaining}} left"
_SHORTEST_BAR = 4
_log = logging.getLogger(__name__)


class Progress(Protocol):
    """Display of work whose size is known."""

    def start(self, total: int) -> None:
        """Start the display for ``total`` items."""

    def show(self, counts: Mapping[str, int], done: int) -> None:
        """Update the display: ``done`` items are finished; ``counts`` gives the numbers by name."""

    def note(self, text: str) -> None:
        """Write ``text`` as one line of the log."""

    def close(self) -> None:
        """Stop the display; a second call does nothing."""


def no_status_text() -> str:
    """Return the empty status text, the default."""
    return ""


class SilentProgress:
    """No display; notes are written to the log."""

    def start(self, total: int) -> None:
        """Do nothing."""

    def show(self, counts: Mapping[str, int], done: int) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Write ``text`` to the log, which removes secrets, keeps the bar whole and has a file."""
        _log.info("%s", text)

    def close(self) -> None:
        """Do nothing."""


class LineProgress(SilentProgress):
    """A plain line at the start, at most every ``interval_s`` seconds, and at the end."""

    def __init__(
        self,
        stream: TextIO,
        interval_s: float,
        clock: Callable[[], float],
        status_text: Callable[[], str] = no_status_text,
    ) -> None:
        self._stream, self._interval_s, self._clock, self._status_text = (
            stream,
            interval_s,
            clock,
            status_text,
        )
        self._total = self._done = 0
        self._counts: Mapping[str, int] = {}
        self._started_at = self._written_at = 0.0
        self._last_counts: str | None = None

    def start(self, total: int) -> None:
        """Write the first line."""
        self._total, self._started_at = total, self._clock()
        self._write_line()

    def show(self, counts: Mapping[str, int], done: int) -> None:
        """Write a line if the last one is ``interval_s`` old."""
        self._counts, self._done = dict(counts), done
        if self._clock() - self._written_at >= self._interval_s:
            self._write_line(self._status_text())

    def close(self) -> None:
        """Write the last line, if the counts changed since the previous one."""
        if self._last_counts not in {None, self._format_counts()}:
            self._write_line()

    def _write_line(self, status_text: str = "") -> None:
        self._last_counts, self._written_at = self._format_counts(), self._clock()
        self._stream.write(
            f"{self._last_counts}{self._format_pace()}{'; ' if status_text else ''}{status_text}\n"
        )
        self._stream.flush()

    def _format_counts(self) -> str:
        return f"{self._done} of {self._total}" + "".join(
            f", {self._counts[word]} {word}" for word in self._counts
        )

    def _format_pace(self) -> str:
        elapsed_s = self._clock() - self._started_at
        if not self._done or elapsed_s <= 0:
            return ""
        remaining = timedelta(seconds=round((self._total - self._done) * elapsed_s / self._done))
        return f" ({self._done / elapsed_s * 60:.1f} a minute, {remaining} left)"


class BarProgress(SilentProgress):
    """One bar on the last line of a terminal; nothing on any other stream."""

    def __init__(self, stream: TextIO, status_text: Callable[[], str] = no_status_text) -> None:
        self._stream, self._status_text = stream, status_text
        self._bar: tqdm[NoReturn] | None = None

    def start(self, total: int) -> None:
        """Draw the empty bar."""
        from tqdm import tqdm  # noqa: PLC0415 - only a terminal needs it

        if not self._stream.isatty():
            return
        tqdm.set_lock(RLock())  # tqdm's own lock opens a semaphore for processes
        tqdm.monitor_interval = 0  # no monitor thread
        has_size = os.get_terminal_size(self._stream.fileno()).columns > 0  # some terminals report 0
        self._bar = tqdm(
            total=total,
            file=self._stream,
            bar_format=_FULL,
            miniters=1,  # otherwise a fast start makes later updates rare
            unit="",
            dynamic_ncols=has_size,
            ncols=None if has_size else 80,
            nrows=None if has_size else 24,
        )

    def show(self, counts: Mapping[str, int], done: int) -> None:
        """Update the bar if anything has changed."""
        bar = self._bar
        if bar is None:
            return
        before = bar.bar_format, bar.desc, bar.n
        bar.bar_format, words = self._choose_form(bar, counts, done, self._status_text())
        bar.set_description_str(words, refresh=False)
        # tqdm counts an update by 0 as progress in no time, which makes the rate too high.
        is_drawn = done > bar.n and bar.update(done - bar.n)
        if not is_drawn and before != (bar.bar_format, bar.desc, bar.n):
            bar.refresh()

    def close(self) -> None:
        """Stop the bar and leave it on the terminal."""
        if self._bar is not None:
            self._bar.close()

    @staticmethod
    def _choose_form(
        bar: "tqdm[NoReturn]", counts: Mapping[str, int], done: int, status_text: str
    ) -> tuple[str, str]:
        """Return the longest form that fits the terminal, and its text; the status text is dropped last."""
        all_counts = " ".join(f"{word} {number}" for word, number in counts.items())
        nonzero = " ".join(f"{word} {number}" for word, number in counts.items() if number)
        forms = [
            (_FULL, all_counts, status_text),
            (_FULL, nonzero, status_text),
            (_WITH_TIME, nonzero, status_text),
            (_WITH_TIME, "", status_text or nonzero),
            (_COUNT, "", status_text or nonzero),
        ]
        shown = {**bar.format_dict, "n": done}
        width = (shown.pop("ncols") or 80) - _SHORTEST_BAR
        for form, *texts in forms:
            words = "  ".join(filter(None, texts))
            line = bar.format_meter(**{**shown, "bar_format": form.replace("{bar}", ""), "prefix": words})
            if len(line) <= width:
                break
        return form, words


def choose_progress(
    *,
    quiet: bool,
    stream: TextIO,
    clock: Callable[[], float],
    status_text: Callable[[], str] = no_status_text,
) -> Progress:
    """Return a bar for a terminal, a line every 30 s for other streams, no display if ``quiet``.

    ``status_text`` is called at each update for a few words, such as the reason of a pause; it may be empty.
    """
    if quiet:
        return SilentProgress()
    if stream.isatty():
        return BarProgress(stream, status_text)
    return LineProgress(stream, LINE_INTERVAL_S, clock, status_text)
