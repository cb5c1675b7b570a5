"""Draws docs/img/dependency-rule.svg from the table of the dependency rule; ``make picture`` calls it.

An arrow that follows from others is left out. See docs/adr/0001-the-tree.md.
"""

from collections.abc import Mapping
from html import escape

from tests.project.tree_rules import PURPOSE, TABLE, allowed
from tests.support.paths import ROOT

PICTURE = ROOT / "docs" / "img" / "dependency-rule.svg"
_TOPIC = {
    "main": "arguments, lock, exit code",
    "app": "one run from plan to report",
    "archiver": "outcomes, documents, archive",
    "storage": "all that a later run needs",
    "processor": "workers, an outcome an image",
    "prompt_optimizer": "an image's next prompt",
    "reports": "texts and documents",
    "config": "loads and checks settings",
    "processing": "what happens to one image",
    "gemini": "all that knows Google's API",
    "prompts": "decisions about prompts",
    "costs": "budgets, prices, tokens",
    "retry_handler": "what is retried, and when",
    "models": "the types that all share",
    "rate_limit": "when a request may start",
    "settings": "options and their sources",
    "errors": "kinds of failures, exit codes",
    "utils": "helpers without our words",
}
_COLUMN = {
    "main": 2.5, "app": 2.5, "archiver": 4.45, "storage": 4.45,
    "processor": 0.4, "prompt_optimizer": 1.45, "reports": 2.9, "config": 4.4,
    "processing": 0.95, "gemini": 1.95, "prompts": 2.8, "costs": 3.95,
    "retry_handler": 0.0, "models": 1.5, "rate_limit": 3.7, "settings": 4.6,
    "errors": 1.5, "utils": 3.5,
}  # fmt: skip
"""Chosen by hand, so that few arrows pass behind a box."""
_WIDTH, _COLUMN_WIDTH, _BOX_WIDTH, _BOX_HEIGHT, _ROW_HEIGHT = 1340, 240, 200, 52, 100


def draw() -> str:
    """Return the picture as SVG: a name stands above all that it may import."""
    graph = {name: allowed(name) for name in TABLE if name != "__main__"}
    rows = _rows(graph)
    places = _places(rows)
    height = len(rows) * _ROW_HEIGHT + 20
    shapes = [_arrow(places[name], places[to]) for name in graph for to in sorted(_direct(graph, name))]
    shapes += [_box(name, *places[name]) for name in graph]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
            ' font-family="sans-serif">',
            "<title>Who may import whom: an arrow points to what may be imported</title>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7"',
            ' markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#7a8699"/></marker></defs>',
            *shapes,
            "</svg>\n",
        ]
    )


def _rows(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the names from the top of the picture to its bottom, by the longest way down."""

    def depth(name: str) -> int:
        return 1 + max((depth(to) for to in graph[name]), default=-1)

    depths = {name: depth(name) for name in graph}
    return [[name for name in graph if depths[name] == row] for row in range(max(depths.values()), -1, -1)]


def _direct(graph: Mapping[str, set[str]], name: str) -> set[str]:
    """Return what may be imported and is not reached through another name anyway."""

    def below(start: str) -> set[str]:
        return graph[start].union(*(below(to) for to in graph[start]))

    return {to for to in graph[name] if not any(to in below(other) for other in graph[name] - {to})}


def _places(rows: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Return the middle of each box."""
    return {
        name: (_COLUMN[name] * _COLUMN_WIDTH + 115, line * _ROW_HEIGHT + 40.0)
        for line, row in enumerate(rows)
        for name in row
    }


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (from_x, from_y), (to_x, to_y) = start, end
    return (
        f'<path d="M{from_x:.0f} {from_y + _BOX_HEIGHT / 2:.0f}L{to_x:.0f} {to_y - _BOX_HEIGHT / 2:.0f}"'
        ' stroke="#7a8699" stroke-width="1.4" marker-end="url(#head)"/>'
    )


def _box(name: str, x: float, y: float) -> str:
    is_package = name in PURPOSE
    label = f"{name}/" if is_package else f"{name}.py"
    left, top = x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2
    fill = "#e8f0fe" if is_package else "#fff4de"
    return (
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="7" fill="{fill}"'
        f' stroke="#4a5568"/><text x="{x:.0f}" y="{y - 4:.0f}" text-anchor="middle" font-size="15"'
        f' font-weight="bold" fill="#1a202c">{escape(label)}</text><text x="{x:.0f}" y="{y + 15:.0f}"'
        f' text-anchor="middle" font-size="11.5" fill="#2d3748">{escape(_TOPIC[name])}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
