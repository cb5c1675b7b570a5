"""Rules of utils/requirements.py: what is missing is said in one sentence, with a command to type."""

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from utils import requirements


def test_the_table_is_that_of_requirements_txt() -> None:
    """Each package that is installed is looked for, and no other."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()

    assert sorted(requirements.PACKAGES.values()) == sorted(re.split(r"[<>=]", line)[0] for line in lines)


def test_the_oldest_python_is_that_of_the_package() -> None:
    """The version in the sentence is the one that pyproject.toml asks for."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = ".".join(map(str, requirements.OLDEST_PYTHON))

    assert f'requires-python = ">={oldest}"' in text


@pytest.mark.parametrize("module", ["main.py", "__main__.py", "utils/__init__.py", "utils/requirements.py"])
def test_old_pythons_can_read_what_comes_before_the_sentence(module: str) -> None:
    """Every file that is read before the version is looked at is valid for each Python 3 in use."""
    ast.parse((ROOT / module).read_text(encoding="utf-8"), feature_version=(3, 6))


def test_nothing_is_missing_here() -> None:
    """A Python with all packages is not complained about."""
    assert requirements.find_problem([]) is None
    assert requirements.find_python_problem([]) is None


@pytest.mark.parametrize(
    ("error", "package"),
    [
        (ImportError("libjpeg.so.62: cannot open shared object file", name="PIL._imaging"), "pillow"),
        (ImportError("cannot import name 'ClientTimeout' from 'aiohttp'", name="aiohttp"), "aiohttp"),
        (ImportError("cannot import name 'types'", name="google.genai"), "google-genai"),
        (ModuleNotFoundError("No module named 'journal'", name="storage.journals"), None),
        (ImportError("a circle"), None),
    ],
    ids=str,
)
def test_a_package_that_cannot_be_used(error: ImportError, package: str | None) -> None:
    """A package that is broken or too old is named with the reason; a mistake of ours is no such thing."""
    sentence = requirements.explain_import(error)

    if package is None:
        assert sentence is None
    else:
        assert sentence is not None
        assert f"cannot use the package {package} " in sentence
        assert str(error) in sentence
        assert "; type: " in sentence


def test_a_place_without_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installed program asks for its packages by name, for the Python that runs it."""
    monkeypatch.setattr(requirements, "_PROGRAM_DIR", str(tmp_path))
    monkeypatch.setattr(requirements, "PACKAGES", {"no_such_package": "no-such-package"})

    sentence = requirements.find_problem(["--status"])

    assert sentence is not None
    assert sentence.endswith(" -m pip install --upgrade no-such-package")
