"""The tree, the dependency rule, and the rules of form, held against the code.

A new file, folder or library fails here until its place is decided in ``tree_rules``: see docs/adr/0001.
"""

import ast
import re
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.project import dependency_picture, house
from tests.project.source import cycle, functions, imports, modules, own_imports, packages, tree
from tests.project.tree_rules import (
    MAX_FILE_LINES,
    MAX_FUNCTION_LINES,
    ONLY_IN,
    PURPOSE,
    ROOT_FILES,
    SAME_NAME,
    TABLE,
    allowed,
    place,
)
from tests.support.paths import ROOT

ADR = ROOT / "docs" / "adr" / "0001-the-tree.md"

each_module = pytest.mark.parametrize("module", modules())


def test_the_root_holds_nine_files() -> None:
    """A new Python file never stands at the root; the packages' purposes say where it belongs."""
    strangers = {path.name for path in ROOT.glob("*.py")} ^ ROOT_FILES

    assert strangers == set(), f"move it into the package whose purpose it serves: {PURPOSE}"


def test_every_name_at_the_root_has_its_row() -> None:
    """A new folder at the root needs an ADR, a row in the table and a purpose."""
    assert {place(module) for module in modules()} == set(TABLE)
    assert {package.name for package in packages()} == set(PURPOSE)


def test_the_table_has_no_circle() -> None:
    """The dependency rule points in one direction."""
    assert cycle({name: allowed(name) for name in TABLE}) == []


@each_module
def test_imports_are_in_the_table(module: str) -> None:
    """A module imports what the row of its package allows, also inside functions and for types."""
    its = place(module)

    reached = {place(other) for other in own_imports(module)} - {its}

    assert reached - allowed(its) == set(), (
        f"{its} may import {sorted(allowed(its)) or 'nothing of ours'}; it is for {PURPOSE.get(its, its)}."
        " Move the code to the package that may import both, pass the object in, or change ADR 0001"
    )


def test_no_name_stands_for_two_modules() -> None:
    """Two modules of one name in two packages are confused by their readers."""
    names = Counter(name.rsplit(".", maxsplit=1)[-1] for name in modules())

    twice = {name for name, count in names.items() if count > 1}

    assert twice == set(SAME_NAME), "rename one of them, or say in SAME_NAME why the name is right twice"


def test_no_circles() -> None:
    """No module needs itself in the end, not even within a package."""
    assert cycle({module: own_imports(module) - {module} for module in modules()}) == []


def test_the_search_for_circles_finds_one() -> None:
    """The two tests above can fail."""
    assert cycle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d", "b"]


@each_module
def test_foreign_names_stand_in_their_one_place(module: str) -> None:
    """Each library is named where the table says, and no library is used that the table does not know."""
    strangers = []
    for one in imports(modules()[module]):
        library = one.name.split(".", maxsplit=1)[0]
        if one.name in modules() or library in TABLE:
            continue
        homes = ONLY_IN.get(one.name, ONLY_IN.get(library))
        if homes is None and library not in sys.stdlib_module_names:
            strangers.append(f"{library} (line {one.line}) has no row")
        if homes is not None and not _parents(module) & homes:
            strangers.append(f"{library} (line {one.line}) belongs to {sorted(homes)}")

    assert strangers == []


def _parents(module: str) -> set[str]:
    """Return a module's name, and those of the packages that hold it."""
    parts = module.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts) + 1)}


@each_module
def test_the_environment_is_read_in_main_alone(module: str) -> None:
    """All other modules get these as arguments."""
    reads = [
        node.lineno
        for node in ast.walk(tree(modules()[module]))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv", "os.environb"}
    ]

    assert module == "main" or reads == []


@each_module
def test_the_sdk_is_imported_late(module: str) -> None:
    """``--help``, a wrong flag and a dry run never pay for the SDK."""
    early = [one for one in imports(modules()[module]) if one.name.startswith("google") and one.at_import]

    assert early == []


@each_module
def test_nobody_catches_everything(module: str) -> None:
    """Outside main an unknown exception is let through; a cleanup that raises again is no catching."""
    caught = [
        handler.lineno
        for handler in ast.walk(tree(modules()[module]))
        if isinstance(handler, ast.ExceptHandler) and _is_boundless(handler)
    ]

    assert module == "main" or caught == []


def _is_boundless(handler: ast.ExceptHandler) -> bool:
    named = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if handler.type
        else {"bare"}
    )
    if named & {"BaseException", "bare"}:
        return not isinstance(handler.body[-1], ast.Raise)
    return "Exception" in named


@each_module
def test_sizes(module: str) -> None:
    """A file stays below 350 lines and a function below 40: a longer one has two topics."""
    path = modules()[module]
    lengths = {one.name: (one.end_lineno or 0) - one.lineno + 1 for one in functions(path)}

    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


@each_module
def test_a_module_opens_with_a_sentence(module: str) -> None:
    """A module opens with one declarative sentence, as in a table of contents; few lines follow."""
    first = house.opening(module)
    lines = (ast.get_docstring(tree(modules()[module])) or "").splitlines()

    assert first.endswith("."), "one sentence in the first line, with its full stop, and no question"
    assert len(first) <= house.MAX_OPENING_CHARACTERS
    assert len(lines) <= house.MAX_DOCSTRING_LINES or modules()[module].name == "__init__.py"


def test_no_private_dialect() -> None:
    """Words that only their writers understand do not come back: see CONTRIBUTING.md."""
    assert house.dialect() == Counter()


def test_the_picture_shows_the_dependency_rule() -> None:
    """``make picture`` was called after the last change of the table."""
    assert dependency_picture.PICTURE.read_text(encoding="utf-8") == dependency_picture.draw()


def test_the_decision_shows_the_dependency_rule() -> None:
    """ADR 0001 has the rows of the table."""
    rows = re.findall(r"^\| ([a-z_, ]+) \| (.+) \|$", ADR.read_text(encoding="utf-8"), re.MULTILINE)

    table = {name: words for names, words in rows for name in names.split(", ") if name in TABLE}
    named = {
        name: set(re.findall(r"\w+", words)) - {"nothing", "of", "ours"} for name, words in table.items()
    }

    assert table["app"] == "everything but main"
    assert {**named, "app": allowed("app")} == {name: allowed(name) for name in TABLE if name != "__main__"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/**/*.py")), ids=lambda path: path.stem)
def test_tests_use_no_mocks(path: Path) -> None:
    """Tests run against real parts."""
    assert [one for one in imports(path) if one.name.startswith(("unittest.mock", "mock"))] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/**/*.py")), ids=lambda path: path.stem)
def test_no_test_imports_a_test(path: Path) -> None:
    """What two tests need stands in tests/support/."""
    assert [one for one in imports(path) if re.search(r"(^|\.)test_", one.name)] == []


def test_the_package_is_complete() -> None:
    """What pip installs is what runs from the checkout: every folder of the program is named."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent for package in packages() for path in package.rglob("*.py")}

    dotted = {".".join(("gemini_batch", *folder.relative_to(ROOT).parts)) for folder in folders}

    assert set(named["packages"]) == {"gemini_batch", *dotted}
