"""Rules of the documentation: README, help page and .env.example agree with the program."""

import re
from pathlib import Path

import pytest

from config import VERSION, load
from errors import ExitCode
from settings import argument_parser
from settings.options import OPTIONS
from settings.value_spec import ValueType
from tests.support.paths import ROOT

README = ROOT / "README.md"
OPTIONS_PAGE = ROOT / "docs" / "options.md"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OTHER_PROGRAMS = re.compile(r"^\s*\$?\s*(apt|cmake|curl|docker|git|make|mypy|pip|pytest|python -m|ruff)\b")


def help_page() -> str:
    """Return what ``--help`` prints."""
    return argument_parser.build_parser(version=VERSION).format_help()


def flags_in(text: str) -> set[str]:
    """Return the long flags of our program that ``text`` names."""
    ours = [line for line in text.splitlines() if not OTHER_PROGRAMS.match(line)]
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", "\n".join(ours)))


def section(text: str, title: str) -> str:
    """Return the text below the heading that contains ``title``, up to the next heading."""
    found = re.search(
        rf"^#+ [^\n]*{title}[^\n]*\n(.*?)(?=^#|\Z)", text, re.DOTALL | re.IGNORECASE | re.MULTILINE
    )
    assert found, f"no heading contains {title!r}"
    return found.group(1)


def anchors_of(document: Path) -> set[str]:
    """Return the anchors that a page of Markdown gives its headings."""
    headings = re.findall(r"^#+ +(.+?) *$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_page_of_options_tells_of_every_flag() -> None:
    """A flag that works is in a row of docs/options.md."""
    rows = [
        line for line in OPTIONS_PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `--")
    ]
    twins = {
        f"--no-{option.flag.removeprefix('--')}"
        for option in OPTIONS
        if option.flag and option.spec.type is ValueType.BOOLEAN
    }

    assert flags_in(help_page()) - twins - flags_in("\n".join(rows)) == set()


def test_the_page_of_options_names_each_variable() -> None:
    """Each variable stands in the row of its flag; the key's are named below the table."""
    rows = {
        flag: line
        for line in OPTIONS_PAGE.read_text(encoding="utf-8").splitlines()
        for flag in flags_in(line.split("|")[1] if line.startswith("| `--") else "")
    }

    unnamed = [
        option.flag
        for option in OPTIONS
        if option.flag and option.variable and f"`{option.variable}`" not in rows[option.flag]
    ]

    assert unnamed == []


@pytest.mark.parametrize("page", [README, OPTIONS_PAGE], ids=lambda path: path.name)
def test_no_page_names_a_flag_that_does_not_exist(page: Path) -> None:
    """A flag in the README or in docs/options.md works."""
    assert flags_in(page.read_text(encoding="utf-8")) - flags_in(help_page()) == set()


def test_a_help_page_in_the_readme_is_the_real_one() -> None:
    """A copy of the help page in the README is up to date."""
    blocks = re.findall(
        r"^```\w*\n(usage: .*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )

    assert all(block.strip() == help_page().strip() for block in blocks)


def test_the_readme_is_short() -> None:
    """The README stays short enough to be read; longer texts belong into docs/."""
    assert len(README.read_text(encoding="utf-8").splitlines()) < 300


def test_the_exit_codes_in_the_readme() -> None:
    """The README's table of exit codes has the codes and the meanings that the program has."""
    table = section(README.read_text(encoding="utf-8"), "exit code")
    rows = re.findall(r"^\| *`?(\d+)`? *\| *(.+?) *\|", table, re.MULTILINE)

    assert [int(code) for code, _ in rows] == [code.value for code in ExitCode]
    for code, meaning in rows:
        assert ExitCode(int(code)).meaning in meaning


def test_the_exit_codes_in_the_help_page() -> None:
    """The help page has every exit code with its meaning."""
    lines = {" ".join(line.split()) for line in help_page().splitlines()}

    assert {f"{code.value} {code.meaning}" for code in ExitCode} <= lines


def test_the_example_of_a_dotenv_file_names_every_variable() -> None:
    """Each variable is in .env.example once, and nothing else is."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)

    assert sorted(named) == sorted(option.variable for option in OPTIONS if option.variable)


def test_the_example_of_a_dotenv_file_shows_the_defaults(tmp_path: Path) -> None:
    """With every line of .env.example in force, the program does what it does without."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    (tmp_path / "photos").mkdir()
    (tmp_path / ".env").write_text(re.sub(r"^#(?=[A-Z_]+=)", "", text, flags=re.MULTILINE), encoding="utf-8")
    argv = ["--input-dir", str(tmp_path / "photos"), "--prompt", "x"]
    env = {"GEMINI_API_KEY": "some-key"}

    with_file = load(argv, env=env, dotenv_paths=[tmp_path / ".env"])

    assert with_file == load(argv, env=env, dotenv_paths=[])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link names a file that exists, and a heading of it that exists."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        is_broken = not target.exists() or (anchor and anchor not in anchors_of(target))
        if "://" not in link and not link.startswith("mailto:") and is_broken:
            broken.append(link)

    assert broken == []
