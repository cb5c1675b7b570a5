"""Does the code keep the shape that design and decisions give it?

The tables below are the design. A new module, or a new library, fails here until it has its row, and
the row is where its place is decided.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOT_THE_PROGRAM = {"tests", "examples", "bench", "docs", "build", "output"}
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40


@dataclass(frozen=True, slots=True)
class Row:
    """The place of a module: its rank, and what it may import besides rank 0."""

    rank: int
    may_import: frozenset[str] = frozenset()


def row(rank: int, *may_import: str) -> Row:
    """Return the place of a module."""
    return Row(rank, frozenset(may_import))


# Rank 0 holds types and helpers, rank 1 decisions without I/O, rank 2 the only I/O and waiting, rank 3
# the story of images, rank 4 the parts of a run, rank 5 makes them, rank 6
# runs them, rank 7 is the command. Above rank 0 a module may import all of rank 0
# and what its row names; in rank 0 only what its row names. A package stands in one row as a whole, or
# each of its modules has its own.
TABLE = {
    "errors": row(0),
    "utils": row(0),
    "models": row(0, "errors"),
    "stopping": row(0, "errors"),
    "settings": row(0),
    "settings.options": row(0),
    "results": row(0),
    "results.layout": row(0, "utils"),
    "reporting": row(0),
    "reporting.advice": row(0, "errors"),
    "pacing": row(1),
    "pacing.figures": row(0),
    "spending": row(1),
    "repair": row(1),
    "time_limit": row(1),
    "results.wording": row(1),
    "results.answer_files": row(1, "results.wording"),
    "story": row(1),
    "waiting_room": row(1),
    "canary": row(1),
    "reporting.wordings": row(1),
    "reporting.tally": row(1, "reporting.wordings"),
    "reporting.documents": row(1),
    "reporting.costs": row(1, "reporting.documents", "reporting.tally"),
    "reporting.pace": row(1, "reporting.documents"),
    "reporting.horizon": row(1),
    "reporting.better_prompt": row(1, "repair", "reporting.documents", "reporting.wordings"),
    "reporting.closing": row(
        1, "reporting.documents", "reporting.costs", "reporting.pace", "reporting.better_prompt"
    ),
    "reporting.chain": row(1, "reporting.tally"),
    "reporting.evolution": row(
        1,
        "repair",
        "reporting.tally",
        "reporting.wordings",
        "reporting.documents",
        "reporting.better_prompt",
    ),
    "reporting.report": row(
        1,
        "reporting.tally",
        "reporting.documents",
        "reporting.closing",
        "reporting.costs",
        "reporting.pace",
        "reporting.horizon",
        "reporting.better_prompt",
    ),
    "retry_handler": row(1),
    "prompt_optimizer": row(1, "repair"),
    "settings.command_line": row(1),
    "settings.sources": row(1),
    "config": row(1, "settings.command_line", "settings.sources", "repair"),
    "results.ledger": row(2),
    "results.sweeping": row(1),
    "results.result_tree": row(2, "results.wording", "results.sweeping"),
    "results.placing": row(2, "results.ledger", "results.result_tree", "results.answer_files"),
    "archiver": row(2, "results.placing", "results.ledger", "results.result_tree", "results.answer_files"),
    "journal": row(2, "repair"),
    "rate_limiter": row(2, "pacing"),
    "quota_memory": row(2),
    "budget": row(2),
    "gemini": row(2),
    "allowance": row(3, "budget"),
    "money": row(3, "budget", "spending", "reporting.costs", "reporting.tally"),
    "calls": row(3, "story"),
    "inspection": row(3),
    "processor": row(3, "retry_handler", "prompt_optimizer", "story", "waiting_room", "calls", "inspection"),
    "batch": row(4, "processor", "archiver", "journal", "reporting.tally", "canary"),
    "lessons": row(4, "journal", "prompt_optimizer"),
    "rewriting": row(
        4, "prompt_optimizer", "repair", "retry_handler", "calls", "allowance", "reporting.evolution"
    ),
    "status": row(4, "journal", "reporting.closing", "reporting.documents"),
    "epilogue": row(
        4,
        "archiver",
        "journal",
        "reporting.report",
        "reporting.documents",
        "reporting.tally",
        "reporting.costs",
        "reporting.horizon",
        "reporting.evolution",
        "reporting.chain",
        "repair",
    ),
}
TABLE["compose"] = Row(5, frozenset(TABLE))
TABLE["session"] = Row(6, frozenset(TABLE))
TABLE["main"] = Row(7, frozenset(TABLE))

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
    "sqlite3": {"journal", "quota_memory"},
    "platformdirs": {"quota_memory.scope"},
    "genai_prices": {"spending.prices"},
    "argparse": {"settings.command_line"},
    "signal": {"main"},
    "urllib.request": {"utils.ping"},
    "http.client": {"utils.ping"},
    "subprocess": set[str](),
    "socket": {"utils.lock"},
    "filelock": {"utils.lock"},
    "fcntl": {"utils.lock"},
}
ADAPTERS = {
    "archiver",
    "journal",
    "gemini",
    "rate_limiter",
    "budget",
    "quota_memory",
    "results.ledger",
    "results.result_tree",
}


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
    """Return under which name a module stands in the table: its own, or that of its package."""
    return module if module in TABLE else module.split(".", maxsplit=1)[0]


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


def test_every_module_has_its_row() -> None:
    """A new module enters the table before it may be used, and a row without a module goes."""
    assert {place(module) for module in modules()} == set(TABLE)


def test_the_table_points_down() -> None:
    """A row names lower ranks, or parts of its own rank that know nothing of the whole."""
    upwards = [
        (name, other)
        for name, its in TABLE.items()
        for other in its.may_import
        if TABLE[other].rank > its.rank
    ]

    assert upwards == []
    assert cycle({name: set(its.may_import) for name, its in TABLE.items()}) == []


@each_module
def test_imports_are_in_the_table(module: str) -> None:
    """A module imports what its row allows and nothing else, also inside functions and for types."""
    its = TABLE.get(place(module), row(0))
    rank_0 = {name for name, other in TABLE.items() if other.rank == 0} if its.rank else set[str]()

    reached = {place(other) for other in own_imports(module)} - {place(module)}

    assert reached - its.may_import - rank_0 == set()


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
        allowed = ONLY_IN.get(one.name, ONLY_IN.get(library))
        if allowed is None and library not in sys.stdlib_module_names:
            strangers.append(f"{library} (line {one.line}) has no row")
        if allowed is not None and not {module, place(module)} & allowed:
            strangers.append(f"{library} (line {one.line}) belongs to {sorted(allowed)}")

    assert strangers == []


def test_the_processor_knows_no_adapter() -> None:
    """Files, tables, clocks and the API reach the processor as objects only."""
    assert {place(other) for other in own_imports("processor")} & ADAPTERS == set()


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
def test_every_file_says_which_question_it_answers(module: str) -> None:
    """A module opens with its question; an ``__init__`` may do with a sentence."""
    path = modules()[module]
    opening = (ast.get_docstring(tree(path)) or "").split("\n\n")[0]

    assert opening
    assert path.name == "__init__.py" or opening.rstrip().endswith("?")


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/**/*.py")), ids=lambda path: path.stem)
def test_tests_use_no_mocks(path: Path) -> None:
    """Tests run against real parts."""
    assert [one for one in imports(path) if one.name.startswith(("unittest.mock", "mock"))] == []


def test_the_package_is_complete() -> None:
    """What pip installs is what runs from the checkout: every module is named in pyproject.toml."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]

    assert set(named["packages"]) == {package.name for package in packages()}
    assert set(named["py-modules"]) == {path.stem for path in ROOT.glob("*.py")}
