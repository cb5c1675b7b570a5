"""The tree, the dependency rule, and the rules of form, held against the code.

The tables below are the design: see docs/adr/0001. A new file, folder or library fails here until its place
is decided.
"""

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import ROOT

NOT_THE_PROGRAM = {"tests", "examples", "bench", "docs", "build", "output"}
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40


ROOT_FILES = {
    "main.py",
    "config.py",
    "processor.py",
    "retry_handler.py",
    "prompt_optimizer.py",
    "archiver.py",
    "errors.py",
    "models.py",
    "__main__.py",
}

EVERYTHING = "everything"

# Which names at the root may be imported by which: the dependency rule of docs/adr/0001. A package stands
# for all of its modules. "everything" is all that stands above the row.
TABLE = {
    "errors": "",
    "utils": "",
    "models": "errors",
    "settings": "errors utils",
    "retry_handler": "errors",
    "rate_limit": "errors",
    "costs": "errors models",
    "prompts": "errors models",
    "gemini": "errors models utils",
    "processing": "errors models utils",
    "prompt_optimizer": "prompts errors models",
    "processor": "processing retry_handler errors models utils",
    "reports": "costs prompts rate_limit settings errors models utils",
    "storage": "prompts reports errors models utils",
    "archiver": "storage errors models utils",
    "config": "settings prompts errors",
    "app": EVERYTHING,
    "main": "app config processing errors utils",
    "__main__": "main",
}

# What each package is for: where a new file belongs.
PURPOSE = {
    "app": "one run from plan to report; the only place that knows every part",
    "processing": "what happens to one image",
    "prompts": "decisions about prompts",
    "rate_limit": "when the next request may start",
    "costs": "budgets, prices, token estimates",
    "gemini": "all that knows Google's API",
    "storage": "everything on disk that a later run needs",
    "reports": "texts and documents; no input or output",
    "settings": "options, their sources, the argument parser",
    "utils": "helpers that know no word of this domain",
}

# Where each foreign library, and each part of the standard library that reaches the world, may be named.
ONLY_IN = {
    "google": {"gemini"},
    "aiohttp": {"gemini"},
    "certifi": {"gemini.transport"},
    "yarl": {"gemini.transport"},
    "tenacity": {"retry_handler"},
    "pydantic_settings": {"settings.sources"},
    "pydantic": {"settings.sources", "config"},
    "dotenv": {"settings.sources"},
    "PIL": {"utils.image_validator", "utils.image_conversion"},
    "pillow_heif": {"utils.image_validator", "utils.image_conversion"},
    "tqdm": {"utils.progress"},
    "sqlite3": {"storage.journal", "rate_limit.shared"},
    "platformdirs": {"rate_limit.shared.scope"},
    "genai_prices": {"costs.pricing"},
    "argparse": {"settings.argument_parser"},
    "signal": {"main"},
    "urllib.request": {"utils.healthcheck"},
    "http.client": {"utils.healthcheck"},
    "subprocess": set[str](),
    "socket": {"utils.lock"},
    "filelock": {"utils.lock"},
    "fcntl": {"utils.lock"},
}

# Modules of one name in two packages, and why that is right.
SAME_NAME = {"journal": "the package, and in it the module of the class Journal, by which all use it"}


@dataclass(frozen=True, slots=True)
class Import:
    """One name that a module imports, wherever in the file it does so."""

    name: str
    line: int
    at_import: bool
    """True when it happens as soon as the module is imported."""


@cache
def modules() -> Mapping[str, Path]:
    """Return the files of the program by their dotted names; a package goes by its own name."""
    files = [*ROOT.glob("*.py"), *(path for package in packages() for path in package.rglob("*.py"))]
    dotted = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}
    return {name.removesuffix(".__init__"): path for name, path in sorted(dotted.items())}


def packages() -> list[Path]:
    """Return the folders that hold parts of the program."""
    return [init.parent for init in ROOT.glob("*/__init__.py") if init.parent.name not in NOT_THE_PROGRAM]


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Return all imports of a file, those inside functions and for type checkers too."""
    late = {id(node) for part in ast.walk(tree(path)) if _is_late(part) for node in ast.walk(part)}
    return tuple(
        Import(name, node.lineno, id(node) not in late)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _names(node)
    )


def _is_late(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    for alias in node.names:
        whole = f"{node.module}.{alias.name}"
        yield whole if whole in modules() or whole in ONLY_IN else str(node.module)


def place(module: str) -> str:
    """Return under which name of the root a module stands in the table."""
    return module.split(".", maxsplit=1)[0]


def allowed(name: str) -> set[str]:
    """Return which names of the root may be imported by one of them."""
    words = TABLE[name]
    return {*TABLE} - {"main", "__main__", name} if words == EVERYTHING else set(words.split())


def own_imports(module: str) -> set[str]:
    """Return the modules of the program that ``module`` imports."""
    return {one.name for one in imports(modules()[module]) if one.name in modules()}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return all functions of a file, however deep."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return a circle in ``graph``, or an empty list."""
    finished: set[str] = set()

    def walk(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in finished:
            return []
        found = next((one for to in sorted(graph[node]) if (one := walk(to, [*trail, node]))), [])
        finished.add(node)
        return found

    return next((one for node in sorted(graph) if (one := walk(node, []))), [])


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
    """Everybody else is given what it needs."""
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
    """A file stays below 350 lines and a function below 40: what is longer has two rooms in it."""
    path = modules()[module]
    lengths = {one.name: (one.end_lineno or 0) - one.lineno + 1 for one in functions(path)}

    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


@each_module
def test_a_module_opens_with_a_sentence(module: str) -> None:
    """A module says what it is for."""
    assert ast.get_docstring(tree(modules()[module]))


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
