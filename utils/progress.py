"""How does the program show how far it is?

On a terminal one bar, elsewhere a plain line now and then, or nothing. A bar that simply shows all it
has is cut off at the terminal's edge, where it says why it stands still; so it has several forms, and takes
the fullest that fits. This file must not know what is counted: it gets numbers and the words that belong
to them, and from ``aside`` a few words about what happens besides.
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
    """What watches a piece of work that has a known size."""

    def start(self, total: int) -> None:
        """Begin: there are ``total`` things to do."""

    def show(self, counts: Mapping[str, int], done: int) -> None:
        """Tell that ``done`` of them are finished, and how many there are of what, in words."""

    def note(self, text: str) -> None:
        """Tell something besides, as one line of the log."""

    def close(self) -> None:
        """End; a second call does nothing."""


def no_status_text() -> str:
    """Be the ``aside`` of work that nothing holds back."""
    return ""


class SilentProgress:
    """Shows nothing; a note still reaches the log."""

    def start(self, total: int) -> None:
        """Do nothing."""

    def show(self, counts: Mapping[str, int], done: int) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Log ``text``, so that it is redacted, tears no bar and is in the log file too."""
        _log.info("%s", text)

    def close(self) -> None:
        """Do nothing."""


class LineProgress(SilentProgress):
    """A plain line at the start, at most every ``every_s`` seconds, and at the end."""

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
        """Write a line when the last one is old enough."""
        self._counts, self._done = dict(counts), done
        if self._clock() - self._written_at >= self._interval_s:
            self._write_line(self._status_text())

    def close(self) -> None:
        """Write the last line, unless it stands there already."""
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
    """One bar on the last line of a terminal; nothing at all on anything else."""

    def __init__(self, stream: TextIO, status_text: Callable[[], str] = no_status_text) -> None:
        self._stream, self._status_text = stream, status_text
        self._bar: tqdm[NoReturn] | None = None

    def start(self, total: int) -> None:
        """Draw the empty bar."""
        from tqdm import tqdm  # noqa: PLC0415 - only a terminal needs it

        if not self._stream.isatty():
            return
        tqdm.set_lock(RLock())  # its own would open semaphores for processes that we do not have
        tqdm.monitor_interval = 0  # nor is a thread of its own needed
        has_size = os.get_terminal_size(self._stream.fileno()).columns > 0  # some terminals do not say
        self._bar = tqdm(
            total=total,
            file=self._stream,
            bar_format=_FULL,
            miniters=1,  # else a quick start would hide what is slow afterwards
            unit="",
            dynamic_ncols=has_size,
            ncols=None if has_size else 80,
            nrows=None if has_size else 24,
        )

    def show(self, counts: Mapping[str, int], done: int) -> None:
        """Draw the bar anew where anything has changed."""
        bar = self._bar
        if bar is None:
            return
        before = bar.bar_format, bar.desc, bar.n
        bar.bar_format, words = self._choose_form(bar, counts, done, self._status_text())
        bar.set_description_str(words, refresh=False)
        # An update by nothing would be taken for progress that took no time, and make the rate too high.
        is_drawn = done > bar.n and bar.update(done - bar.n)
        if not is_drawn and before != (bar.bar_format, bar.desc, bar.n):
            bar.refresh()

    def close(self) -> None:
        """Leave the bar as it stands last."""
        if self._bar is not None:
            self._bar.close()

    @staticmethod
    def _choose_form(
        bar: "tqdm[NoReturn]", counts: Mapping[str, int], done: int, status_text: str
    ) -> tuple[str, str]:
        """Return the form that tells most and fits the terminal, and its words; the aside goes last."""
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
    """Return what fits ``stream``: a bar on a terminal, else a line every 30 s, nothing when ``quiet``.

    ``aside`` is asked at every showing for a few words, such as why the work stands still; or for none.
    """
    if quiet:
        return SilentProgress()
    if stream.isatty():
        return BarProgress(stream, status_text)
    return LineProgress(stream, LINE_INTERVAL_S, clock, status_text)
