"""Where this checkout and the data of its tests lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schema"
DATA = ROOT / "tests" / "data"
