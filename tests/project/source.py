"""The program's own source, read for the tests of its form: modules, imports, functions."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.project.tree_rules import NOT_THE_PROGRAM, ONLY_IN
from tests.support.paths import ROOT


@dataclass(frozen=True, slots=True)
class Import:
    """One name that a module imports, at any place in the file."""

    name: str
    line: int
    at_import: bool
    """True if it happens as soon as the module is imported."""


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
