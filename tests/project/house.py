"""Counts sizes, openings and words of private dialect in the product; ``make house`` calls it."""

import ast
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from tests.project.source import functions, modules, tree
from tests.project.tree_rules import TABLE

DIALECT = (
    "nobody", "somebody", "everybody", "anybody", "whoever", "naive answer", "must not know",
    "knows nothing", "knows neither", "is not to be had", "put off", "by chance", "night", "nights",
    "purse", "canary", "shelf", "waiting room", "lent", "company",
)  # fmt: skip
_PATTERN = re.compile(rf"\b(?:{'|'.join(DIALECT)})\b", re.IGNORECASE)
MAX_OPENING_CHARACTERS = 100
MAX_DOCSTRING_LINES = 8


def opening(module: str) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(tree(modules()[module])) or "").split("\n", maxsplit=1)[0]


def dialect() -> Counter[str]:
    """Return how often each word of the private dialect stands in docstrings and comments."""
    texts = (text for path in modules().values() for text in _prose(path))
    return Counter(word.lower() for text in texts for word in _PATTERN.findall(text))


def _prose(path: Path) -> Iterator[str]:
    """Yield the docstrings of a file, those below fields too, and its comments."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    with path.open("rb") as handle:
        tokens = tokenize.tokenize(handle.readline)
        yield from [token.string for token in tokens if token.type == tokenize.COMMENT]


def main() -> None:
    """Print the counts."""
    paths = modules().values()
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
    lengths = sorted((one.end_lineno or 0) - one.lineno + 1 for path in paths for one in functions(path))
    questions = sum(opening(module).endswith("?") for module in modules())
    words = dialect()
    rows = {
        "lines of the product": lines,
        "modules": len(paths),
        "functions": len(lengths),
        "lines of a function, median": median(lengths),
        "lines of a function, 90th percentile": quantiles(lengths, n=10)[-1],
        "lines of a function, longest": lengths[-1],
        "modules that open with a question": questions,
        "words of private dialect": f"{words.total()}  {dict(words.most_common()) if words else ''}",
        "rows of the dependency rule": len(TABLE),
    }
    sys.stdout.writelines(f"{name:<38} {value}\n" for name, value in rows.items())


if __name__ == "__main__":
    main()
