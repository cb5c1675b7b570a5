"""Rules of utils/progress.py: the progress is shown in a form that fits its stream."""

import fcntl
import io
import logging
import os
import pty
import struct
import termios
from collections.abc import Callable, Iterator
from typing import TextIO

import pytest

from utils.logger import set_up_logging
from utils.progress import BarProgress, LineProgress, SilentProgress, choose_progress

KEY = "AIzaSyExample0123456789"
_END = "\x1c"


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


class Terminal:
    """A real pseudo terminal: what was written to it, as bytes and as the screen it makes."""

    def __init__(self, columns: int, rows: int) -> None:
        self._read_end, write_end = pty.openpty()
        fcntl.ioctl(write_end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.stream: TextIO = os.fdopen(write_end, "w", encoding="utf-8")

    def written(self) -> str:
        """Return all that was written, as the terminal received it."""
        self.stream.write(_END)  # the kernel passes on in pieces, so the end has to be marked
        self.stream.flush()
        received = b""
        while not received.endswith(_END.encode()):
            received += os.read(self._read_end, 65_536)
        return received.decode().removesuffix(_END)

    def screen(self) -> list[str]:
        """Return the lines that stand there in the end (no command but carriage return is in use)."""
        lines = []
        for line in self.written().split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            lines.append(shown.rstrip())
        return lines

    def close(self) -> None:
        """Give both ends back."""
        self.stream.close()
        os.close(self._read_end)


@pytest.fixture
def terminal() -> Iterator[Callable[[int, int], Terminal]]:
    """Return what opens terminals of a given size; the loggers are put back afterwards."""
    opened = []
    root = logging.getLogger()
    before = list(root.handlers)

    def open_(columns: int = 80, rows: int = 24) -> Terminal:
        opened.append(Terminal(columns, rows))
        set_up_logging(level="INFO", log_file=None, secrets=[KEY], stream=opened[-1].stream)
        return opened[-1]

    yield open_
    root.handlers[:] = before
    for one in opened:
        one.close()


def test_choice(terminal: Callable[[], Terminal]) -> None:
    """A terminal gets a bar, anything else plain lines, and a quiet run nothing."""
    clock = Clock()

    assert type(choose_progress(quiet=True, stream=terminal().stream, clock=clock)) is SilentProgress
    assert type(choose_progress(quiet=False, stream=terminal().stream, clock=clock)) is BarProgress
    assert type(choose_progress(quiet=False, stream=io.StringIO(), clock=clock)) is LineProgress


def test_lines_now_and_then() -> None:
    """There is a line at the start, then one at most every so many seconds, and the last state at the end."""
    stream, clock = io.StringIO(), Clock()
    lines = LineProgress(stream, 30, clock)

    lines.start(100)
    for second in range(1, 91):
        clock.now = 1000 + second
        lines.show({"done": second - 1, "failed": 1}, second)
    clock.now += 5
    lines.show({"done": 94, "failed": 1}, 95)
    lines.close()

    assert stream.getvalue().splitlines() == [
        "0 of 100",
        "30 of 100, 29 done, 1 failed (60.0 a minute, 0:01:10 left)",
        "60 of 100, 59 done, 1 failed (60.0 a minute, 0:00:40 left)",
        "90 of 100, 89 done, 1 failed (60.0 a minute, 0:00:10 left)",
        "95 of 100, 94 done, 1 failed (60.0 a minute, 0:00:05 left)",
    ]


def test_the_last_line_is_not_said_twice() -> None:
    """An end that was shown already is not repeated, nor is anything said by a second close."""
    stream, clock = io.StringIO(), Clock()
    lines = LineProgress(stream, 30, clock)

    lines.start(1)
    clock.now += 30
    lines.show({"done": 1}, 1)
    lines.close()
    lines.close()

    assert stream.getvalue().splitlines() == ["0 of 1", "1 of 1, 1 done (2.0 a minute, 0:00:00 left)"]


def test_lines_that_never_began() -> None:
    """A run that ends before it knows its size says nothing about progress."""
    stream = io.StringIO()

    LineProgress(stream, 30, Clock()).close()

    assert stream.getvalue() == ""


def test_the_bar(terminal: Callable[[], Terminal]) -> None:
    """The bar is one line of the terminal's width that ends with the counts, the rate and the time left."""
    screen = terminal()
    bar = BarProgress(screen.stream)

    bar.start(20)
    for done in range(1, 14):
        bar.show({"done": done - 1, "failed": 1, "retrying": 2}, done)
    bar.close()
    bar.close()

    written = screen.screen()
    assert len(written) == 2
    assert written[0].startswith("13/20 |")
    assert "done 12 failed 1 retrying 2" in written[0]
    assert written[0].endswith(" left")
    assert 60 < len(written[0]) <= 80


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (60, 10), (0, 0)], ids=["usual", "small", "unknown"])
def test_no_line_is_wider_than_the_terminal(
    terminal: Callable[[int, int], Terminal], columns: int, rows: int
) -> None:
    """A bar that wrapped would leave a trail; a terminal that hides its size is taken for 80 columns."""
    screen = terminal(columns, rows)
    bar = BarProgress(screen.stream)

    bar.start(1_000_000)
    bar.show({"done": 123_456, "failed": 1234, "retrying": 12}, 124_690)
    bar.close()

    parts = screen.written().replace("\n", "\r").split("\r")
    assert "124690/1000000" in "".join(parts)
    assert max(map(len, parts)) <= (columns or 80)


LONG_ASIDE = "limit 2000/min, 150 waiting for quota until 02:13:40"


@pytest.mark.parametrize(
    ("aside", "expected"),
    [
        ("", ("done 1220 failed 14 ", "/s, ", " left")),
        ("pace 58/min", ("done 1220 failed 14 retrying 4  pace 58/min  ", " left")),
        (LONG_ASIDE, (f"| {LONG_ASIDE}",)),
    ],
    ids=["nothing", "short", "long"],
)
def test_the_bar_says_what_happens_besides(
    terminal: Callable[[int, int], Terminal], aside: str, expected: tuple[str, ...]
) -> None:
    """At 80 columns the words besides stand there in full; what is less important is dropped."""
    screen = terminal(80, 24)
    bar = BarProgress(screen.stream, lambda: aside)

    bar.start(5000)
    bar.show({"done": 1220, "failed": 14, "deferred": 0, "retrying": 4}, 1234)
    bar.close()

    line = screen.screen()[0]
    assert line.startswith("1234/5000 |")
    for words in expected:
        assert words in line
    assert len(line) <= 80


def test_the_bar_is_drawn_anew_while_nothing_gets_done(terminal: Callable[[], Terminal]) -> None:
    """What happens besides is news by itself, and takes nothing from the rate; the same again is none."""
    screen, said = terminal(), iter(["", "pace 58/min", "pace 58/min", "4 waiting for quota"])
    bar = BarProgress(screen.stream, lambda: next(said))

    bar.start(9)
    for _ in range(4):
        bar.show({"done": 3}, 3)

    written = screen.written()
    assert written.count("pace 58/min") == 1
    assert written.index("pace 58/min") < written.index("4 waiting for quota")
    bar.close()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_with_words_besides_is_wider_than_the_terminal(
    terminal: Callable[[int, int], Terminal], columns: int
) -> None:
    """Neither large numbers nor a narrow terminal make the bar wrap; how far it is always shows."""
    screen = terminal(columns, 24)
    bar = BarProgress(screen.stream, lambda: LONG_ASIDE)

    bar.start(1_000_000)
    for done in (1, 124_690, 124_690, 999_999):
        bar.show({"done": done, "failed": 1234, "deferred": 9, "retrying": 12}, done)
    bar.close()

    parts = screen.written().replace("\n", "\r").split("\r")
    assert "999999/1000000" in "".join(parts)
    assert max(map(len, parts)) <= columns


def test_lines_say_what_happens_besides() -> None:
    """A plain line ends with it, as it is at that moment; the first and the last hold the counts only."""
    stream, clock, said = io.StringIO(), Clock(), iter(["", "4 waiting for quota until 02:13:40"])
    lines = LineProgress(stream, 30, clock, lambda: next(said))

    lines.start(100)
    for second in (10, 30, 40, 60):
        clock.now = 1000 + second
        lines.show({"done": 30}, 30)
    clock.now += 1
    lines.show({"done": 31}, 31)
    lines.close()

    assert stream.getvalue().splitlines() == [
        "0 of 100",
        "30 of 100, 30 done (60.0 a minute, 0:01:10 left)",
        "30 of 100, 30 done (30.0 a minute, 0:02:20 left); 4 waiting for quota until 02:13:40",
        "31 of 100, 31 done (30.5 a minute, 0:02:16 left)",
    ]


def test_a_log_line_does_not_tear_the_bar(terminal: Callable[[], Terminal]) -> None:
    """Records and notes stand on lines of their own above the bar, which stays the last line."""
    screen = terminal()
    bar = choose_progress(quiet=False, stream=screen.stream, clock=Clock())

    bar.start(3)
    bar.show({"done": 1}, 1)
    logging.getLogger("test").warning("careful")
    bar.note("by the way\n%s")
    bar.show({"done": 3}, 3)
    bar.close()

    lines = screen.screen()
    assert lines[:2] == ["warning: careful", "by the way\\x0a%s"]
    assert lines[2].startswith("3/3 |")
    assert lines[3:] == [""]


@pytest.mark.parametrize(
    "kind", [SilentProgress, lambda: BarProgress(io.StringIO())], ids=["silent", "no-terminal"]
)
def test_nothing_is_drawn(kind: Callable[[], SilentProgress], capfd: pytest.CaptureFixture[str]) -> None:
    """Silent progress, and a bar without a terminal, write nothing anywhere."""
    progress = kind()

    progress.start(3)
    progress.show({"done": 1}, 1)
    progress.close()

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("quiet", [True, False])
def test_a_note_is_a_record(terminal: Callable[[], Terminal], *, quiet: bool) -> None:
    """A note goes through the log, so that no secret is in it, whatever shows the progress."""
    screen = terminal()

    choose_progress(quiet=quiet, stream=screen.stream, clock=Clock()).note(f"using {KEY}")

    assert screen.screen() == ["using [secret]", ""]
