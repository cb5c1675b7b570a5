"""Is what the program says safe to read, whoever chose the words in it?"""

import io
import logging
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.logger import SHORTEST_SECRET, one_line, redactor, set_up_logging

KEY = "AIza+Sy/Example=0123 456'7"
LOG = logging.getLogger("test.logger")

SetUp = Callable[..., io.StringIO]


@pytest.fixture
def set_up() -> Iterator[SetUp]:
    """Return what sets logging up and gives the stream; pytest's own handlers stand aside meanwhile."""
    root = logging.getLogger()
    level_before = root.level

    def ours() -> list[logging.Handler]:
        return [one for one in root.handlers if type(one).__module__ == set_up_logging.__module__]

    def set_up_(
        level: str = "INFO", log_file: Path | None = None, secrets: Collection[str] = (KEY,)
    ) -> io.StringIO:
        stream = io.StringIO()
        root.handlers[:] = ours()
        set_up_logging(level=level, log_file=log_file, secrets=secrets, stream=stream)
        return stream

    yield set_up_
    set_up_()
    root.handlers.clear()
    root.setLevel(level_before)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("WARNING", "warning: three\n"),
        ("INFO", "two\nwarning: three\n"),
        ("DEBUG", "one\ntwo\nwarning: three\n"),
    ],
)
def test_levels(set_up: SetUp, level: str, expected: str) -> None:
    """People see what their level asks for, with a word in front of what is wrong."""
    stream = set_up(level)

    LOG.debug("one")
    LOG.info("two")
    LOG.warning("three")

    assert stream.getvalue() == expected


@pytest.mark.parametrize(("level", "expected"), [("WARNING", 2), ("INFO", 2), ("DEBUG", 3)])
def test_the_file_knows_more_than_a_quiet_terminal(
    set_up: SetUp, tmp_path: Path, level: str, expected: int
) -> None:
    """A log file has what happened also when nothing was said aloud."""
    file = tmp_path / "new" / "run.log"
    set_up(level, file)

    LOG.debug("one")
    LOG.info("two")
    LOG.warning("three")

    assert len(file.read_text(encoding="utf-8").splitlines()) == expected


def test_a_line_of_the_file(set_up: SetUp, tmp_path: Path) -> None:
    """A line begins with its time in UTC, which says so, then level and logger; files are appended to."""
    file = tmp_path / "run.log"
    file.write_text("before\n", encoding="utf-8")
    set_up(log_file=file)

    LOG.info("größer 🎨")

    before, line = file.read_text(encoding="utf-8").splitlines()
    assert before == "before"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO test\.logger: größer 🎨", line)


def test_setting_up_again_replaces(set_up: SetUp, tmp_path: Path) -> None:
    """A second set-up writes every record once, and leaves the first one's targets alone."""
    first = set_up(log_file=tmp_path / "a.log")
    second = set_up()

    LOG.info("hello")

    assert (first.getvalue(), second.getvalue()) == ("", "hello\n")
    assert (tmp_path / "a.log").read_text(encoding="utf-8") == ""


def _raise(text: str) -> NoReturn:
    raise ValueError(text)


def _log_traceback() -> None:
    try:
        try:
            _raise(f"inner {KEY}")
        except ValueError:
            _raise(f"outer\n2026-01-01 INFO forged: {KEY}")
    except ValueError:
        LOG.exception("it broke")


@pytest.mark.parametrize(
    "say",
    [
        pytest.param(lambda: LOG.info(KEY), id="in-the-message"),
        pytest.param(lambda: LOG.info("GET /v1?key=%s", KEY), id="in-an-argument"),
        pytest.param(lambda: LOG.info("%s", {"key": KEY}), id="inside-an-object"),
        pytest.param(lambda: LOG.info("%r", ValueError(KEY)), id="in-an-exception"),
        pytest.param(lambda: LOG.info("?key=%s", quote(KEY, safe="")), id="percent-encoded"),
        pytest.param(lambda: LOG.info("?key=%s", quote(KEY, safe="").lower()), id="percent-encoded-low"),
        pytest.param(lambda: LOG.info("?key=%s", quote(KEY)), id="percent-encoded-but-slashes"),
        pytest.param(lambda: LOG.info("?key=%s", quote_plus(KEY)), id="form-encoded"),
        pytest.param(lambda: LOG.info("%d images", KEY), id="in-a-broken-call"),
        pytest.param(lambda: LOG.info("here", stack_info=True, extra={"key": KEY}), id="in-a-stack"),
        pytest.param(_log_traceback, id="in-a-traceback"),
    ],
)
def test_no_secret_is_said(set_up: SetUp, tmp_path: Path, say: Callable[[], None]) -> None:
    """However a record carries the key, neither the terminal nor the file gets to show it."""
    file = tmp_path / "run.log"
    stream = set_up("DEBUG", file)

    say()

    said = stream.getvalue() + file.read_text(encoding="utf-8")
    assert said
    for spelling in (KEY, repr(KEY)[1:-1], quote(KEY, safe=""), quote(KEY), quote_plus(KEY), KEY[:8]):
        assert spelling.lower() not in said.lower()


def test_short_secrets_mangle_nothing(set_up: SetUp) -> None:
    """A secret too short to be one is left alone, and so is everything when there is none."""
    stream = set_up(secrets=("a" * (SHORTEST_SECRET - 1), ""))

    LOG.info("aaaaaaaaaa banana")

    assert stream.getvalue() == "aaaaaaaaaa banana\n"


@given(secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6), around=st.text())
def test_redaction_leaves_no_trace(secret: str, around: str) -> None:
    """Whatever the secret and the words around it, the words stay and the secret goes."""
    redacted = redactor([secret])(f"{around}\x00{secret}\x00")

    assert redacted.endswith("\x00[secret]\x00")


def test_the_longest_secret_goes_first() -> None:
    """When one secret begins another, no end of the longer one stays."""
    assert redactor(["abcdef", "abcdefghi"])("abcdefghi abcdef") == "[secret] [secret]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain Ünïcode 🎨 a\\b", "plain Ünïcode 🎨 a\\b"),
        ("a\nb\r\tc", "a\\x0ab\\x0d\\x09c"),
        ("\x1b[2J\x9b1m\x7f", "\\x1b[2J\\x9b1m\\x7f"),
        ("a\u2028b\u202egpj", "a\\u2028b\\u202egpj"),
        ("caf\udce9", "caf\\udce9"),
    ],
    ids=["ordinary", "newlines", "terminal-commands", "reordering", "not-utf-8"],
)
def test_one_line(text: str, expected: str) -> None:
    """Whatever could begin a line, command a terminal or break an encoding is spelled out."""
    assert one_line(text) == expected


def test_a_name_cannot_forge_a_record(set_up: SetUp, tmp_path: Path) -> None:
    """One record is one line, whatever an image is called."""
    file = tmp_path / "run.log"
    stream = set_up(log_file=file)

    LOG.warning("passed over %s", "x.jpg\n2026-01-01T00:00:00Z INFO main: all done\x1b[1A")

    assert stream.getvalue().count("\n") == 1
    assert file.read_text(encoding="utf-8").count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_a_traceback_cannot_forge_a_record(set_up: SetUp, tmp_path: Path) -> None:
    """Only the first line of a record begins like one."""
    file = tmp_path / "run.log"
    set_up(log_file=file)

    _log_traceback()

    first, *rest = file.read_text(encoding="utf-8").splitlines()
    assert first.endswith("ERROR test.logger: it broke")
    assert "    | ValueError: outer" in rest
    assert {line[:6] for line in rest} == {"    | "}


def test_libraries_are_kept_quiet(set_up: SetUp) -> None:
    """What the SDK and others say about their own work is not ours to repeat, even when verbose."""
    stream = set_up("DEBUG")

    logging.getLogger("google_genai.models").info("AFC is enabled")
    logging.getLogger("PIL.PngImagePlugin").debug("STREAM IHDR")
    logging.getLogger("google_genai.models").warning("deprecated")

    assert stream.getvalue() == "warning: deprecated\n"


def test_a_full_disk_is_told_once(set_up: SetUp, capsys: pytest.CaptureFixture[str]) -> None:
    """A log file that cannot be written is reported to people, once, and costs no other record."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    stream = set_up(log_file=full)

    LOG.info("one")
    LOG.info("two")

    assert stream.getvalue().splitlines() == [
        "one",
        "warning: the log file /dev/full cannot be written: [Errno 28] No space left on device",
        "two",
    ]
    assert capsys.readouterr().err == ""


def test_a_closed_terminal_stops_nothing(set_up: SetUp, capsys: pytest.CaptureFixture[str]) -> None:
    """When nobody can be told any more, the work goes on, and nothing leaks to elsewhere."""
    set_up().close()

    LOG.info("%s", KEY)

    assert capsys.readouterr().err == ""
