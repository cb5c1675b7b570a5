"""Rules of utils/logger.py: records are safe to read, whatever they hold."""

import io
import json
import logging
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.privileges import unprivileged_folder
from utils.logger import MIN_SECRET_LENGTH, make_redactor, reopen_log_file, set_up_logging
from utils.printable import escape_unprintable

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
        level: str = "INFO",
        log_file: Path | None = None,
        secrets: Collection[str] = (KEY,),
        **options: Any,
    ) -> io.StringIO:
        stream = io.StringIO()
        root.handlers[:] = ours()
        set_up_logging(level=level, log_file=log_file, secrets=secrets, stream=stream, **options)
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
    stream = set_up(secrets=("a" * (MIN_SECRET_LENGTH - 1), ""))

    LOG.info("aaaaaaaaaa banana")

    assert stream.getvalue() == "aaaaaaaaaa banana\n"


@given(secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6), around=st.text())
def test_redaction_leaves_no_trace(secret: str, around: str) -> None:
    """Whatever the secret and the words around it, the words stay and the secret goes."""
    redacted = make_redactor([secret])(f"{around}\x00{secret}\x00")

    assert redacted.endswith("\x00[secret]\x00")


SECRET = "AIzaSy-Secret_42"  # noqa: S105 - no key


@pytest.mark.parametrize(
    "escape",
    [
        lambda sign: f"\\u{ord(sign):04x}",
        lambda sign: f"\\u{ord(sign):04X}",
        lambda sign: f"\\\\u{ord(sign):04x}",
        lambda sign: f"\\x{ord(sign):02x}",
        lambda sign: f"%{ord(sign):02X}",
        lambda sign: f"&#{ord(sign)};",
        lambda sign: f"&#x{ord(sign):X};",
    ],
    ids=["json", "json in capitals", "json twice", "python", "url", "html", "html hex"],
)
@pytest.mark.parametrize("which", [slice(0, 1), slice(3, 5), slice(0, None)], ids=["first", "middle", "all"])
def test_an_escaped_secret_goes_as_well(escape: Callable[[str], str], which: slice) -> None:
    """Whichever of its characters are escaped, as a gateway may echo them."""
    signs = list(SECRET)
    signs[which] = map(escape, signs[which])

    assert make_redactor([SECRET])("before " + "".join(signs) + " after") == "before [secret] after"


def test_the_longest_secret_goes_first() -> None:
    """When one secret begins another, no end of the longer one stays."""
    assert make_redactor(["abcdef", "abcdefghi"])("abcdefghi abcdef") == "[secret] [secret]"


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
    assert escape_unprintable(text) == expected


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
    """If the stream is closed, the work goes on, and nothing is written elsewhere."""
    set_up().close()

    LOG.info("%s", KEY)

    assert capsys.readouterr().err == ""


def _lines(file: Path) -> list[str]:
    """Return what was said in each line of a log file, without its beginning."""
    return [line.split(": ", maxsplit=1)[1] for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_long_log_is_put_aside(set_up: SetUp, tmp_path: Path) -> None:
    """A file about to outgrow its bound moves to ``.1``, earlier ones move on, and the oldest goes."""
    file = tmp_path / "run.log"
    set_up(log_file=file, max_bytes=60, backups=2)

    for word in ("one", "two", "three", "four"):
        LOG.info(word)

    assert {path.name: _lines(path) for path in tmp_path.iterdir()} == {
        "run.log": ["four"],
        "run.log.1": ["three"],
        "run.log.2": ["two"],
    }


def test_a_log_from_last_night_counts(set_up: SetUp, tmp_path: Path) -> None:
    """The bound is for the file as it stands, not for what one run writes."""
    file = tmp_path / "run.log"
    file.write_text("x" * 100, encoding="utf-8")
    set_up(log_file=file, max_bytes=100)

    LOG.info("hello")

    assert (tmp_path / "run.log.1").read_text(encoding="utf-8") == "x" * 100
    assert _lines(file) == ["hello"]


@pytest.mark.parametrize("options", [{"max_bytes": 0}, {"max_bytes": 1, "backups": 0}])
def test_a_log_without_bound_grows(set_up: SetUp, tmp_path: Path, options: dict[str, int]) -> None:
    """Where no earlier file may be kept, none is lost either."""
    file = tmp_path / "run.log"
    set_up(log_file=file, **options)

    LOG.info("one")
    LOG.info("two")

    assert _lines(file) == ["one", "two"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_is_never_put_aside(set_up: SetUp, tmp_path: Path) -> None:
    """``--log-file /dev/stderr`` is a link, perhaps to a file: it stays, whatever has been written."""
    link, file = tmp_path / "stderr", tmp_path / "file"
    link.symlink_to(file)
    set_up(log_file=link, max_bytes=1)

    LOG.info("one")
    LOG.info("two")

    assert link.is_symlink()
    assert _lines(file) == ["one", "two"]


def test_a_log_that_cannot_be_put_aside_is_written_on(set_up: SetUp) -> None:
    """If the folder allows no new name there is one warning, and no record is lost."""
    with unprivileged_folder() as folder:
        file = folder / "run.log"
        stream = set_up(log_file=file, max_bytes=60)
        LOG.info("one")
        folder.chmod(0o500)

        LOG.info("two")
        LOG.info("three")

        _, _, warning, _ = said = stream.getvalue().splitlines()
        told = warning.removeprefix("warning: ")
        assert told.startswith(f"the log file {file} cannot be put aside: [Errno 13]")
        assert said == ["one", "two", f"warning: {told}", "three"]
        assert file.read_text(encoding="utf-8").count("\n") == 4
        assert file.read_text(encoding="utf-8").count(told) == 1

        folder.chmod(0o700)
        reopen_log_file()
        LOG.info("four")

        assert _lines(file) == ["four"], "a new beginning tries again"


def test_a_log_that_was_moved_away_is_begun_anew(set_up: SetUp, tmp_path: Path) -> None:
    """After ``logrotate`` took the file, new records go to a new one at the path, folders and all."""
    file, moved = tmp_path / "logs" / "run.log", tmp_path / "old"
    stream = set_up(log_file=file)
    LOG.info("one")
    file.parent.rename(moved)
    LOG.info("two")

    reopen_log_file()
    LOG.info("three")

    assert _lines(moved / "run.log") == ["one", "two"]
    assert _lines(file) == ["three"]
    assert stream.getvalue() == "one\ntwo\nthree\n"


def test_reopening_without_a_log_file_does_nothing(set_up: SetUp) -> None:
    """SIGHUP without ``--log-file`` is no error."""
    stream = set_up()

    reopen_log_file()

    assert stream.getvalue() == ""


def test_a_log_that_cannot_be_begun_anew_is_written_on(set_up: SetUp, tmp_path: Path) -> None:
    """If the path is taken there is a warning, nothing is raised, and the moved file gets the records."""
    file, moved = tmp_path / "run.log", tmp_path / "moved.log"
    stream = set_up(log_file=file)
    file.rename(moved)
    file.mkdir()

    reopen_log_file()
    LOG.info("one")

    told = f"the log file {file} cannot be opened anew: [Errno 21] Is a directory: '{file}'"
    assert stream.getvalue() == f"warning: {told}\none\n"
    assert _lines(moved) == [told, "one"]


def _objects(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_log_for_programs(set_up: SetUp, tmp_path: Path) -> None:
    """With JSON each record of the file is one object; people still read plain lines."""
    file = tmp_path / "run.log"
    stream = set_up(log_file=file, as_json=True)

    LOG.warning("größer 🎨 %s", '"a"\nb')

    (said,) = _objects(file.read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("time"))
    assert said == {"level": "WARNING", "logger": "test.logger", "message": 'größer 🎨 "a"\nb'}
    assert "größer 🎨" in file.read_text(encoding="utf-8")
    assert stream.getvalue() == 'warning: größer 🎨 "a"\\x0ab\n'


def test_json_without_a_file_goes_to_the_stream(set_up: SetUp) -> None:
    """Where a collector reads stderr, JSON is what it gets, at the level that people asked for."""
    stream = set_up("WARNING", as_json=True)

    LOG.info("one")
    LOG.warning("two")

    assert [said["message"] for said in _objects(stream.getvalue())] == ["two"]


def test_json_tells_no_secret_and_no_lie(set_up: SetUp, tmp_path: Path) -> None:
    """A traceback is one member of one line, the key is struck out of it, and it is the text it was."""
    file = tmp_path / "run.log"
    set_up(log_file=file, as_json=True)

    _log_traceback()

    (said,) = _objects(file.read_text(encoding="utf-8"))
    assert said["message"] == "it broke"
    assert "ValueError: outer\n2026-01-01 INFO forged: [secret]" in said["exception"]
    assert KEY[:8] not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("secret", ['say "cheese" twice', "back\\slash-key", "tab\tinside-key"])
def test_json_strikes_out_what_it_would_escape(set_up: SetUp, secret: str) -> None:
    """A secret is struck out before JSON spells it differently."""
    stream = set_up(secrets=[secret], as_json=True)

    LOG.info("key=%s", secret)

    assert _objects(stream.getvalue())[0]["message"] == "key=[secret]"


@pytest.mark.parametrize("text", ["\x1b[2J\x9b1m\x7f", "a\u2028b\u202egpj", "caf\udce9", "a\r\n\tb\\x1b"])
def test_json_commands_no_terminal(set_up: SetUp, text: str) -> None:
    """Every character survives, and those that a terminal would obey are spelt out."""
    stream = set_up(as_json=True)

    LOG.info("%s", text)

    line = stream.getvalue().removesuffix("\n")
    assert escape_unprintable(line) == line
    assert json.loads(line)["message"] == text
