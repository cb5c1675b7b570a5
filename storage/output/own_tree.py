"""Recognition of this program's results in a folder of images, so that they are not taken for images.

An archive that was unpacked there, or an output directory that was copied, moved or renamed, is known by the
documents in it, which say what wrote them.
"""

from collections.abc import Sequence

from storage.output.folders import DRY_RUN, FAILED, METADATA, SUCCESSFUL
from utils.files import open_regular

_PARTS = frozenset({SUCCESSFUL, FAILED, METADATA, DRY_RUN, "archive.zip", "archive.tar.gz"})
_DOCUMENTS = {
    "results.jsonl": (b'"schema_version"', b'"fingerprint"', b'"artefacts"'),
    "processing_stats.json": (b'"gemini-batch-processor"',),
    "error_analysis.json": (b'"gemini-batch-processor"',),
    "prompt_evolution.json": (b'"gemini-batch-processor"',),
}
"""Documents by name, each with what its beginning holds."""
_HEAD_BYTES = 1 << 16


def find_own_parts(folder: str, names: Sequence[str]) -> frozenset[str]:
    """Return which names in a folder belong to an output tree of this program; none if it is no tree."""
    if METADATA not in names or not any(_is_ours(f"{folder}/{METADATA}/{name}", name) for name in _DOCUMENTS):
        return frozenset()
    return _PARTS.intersection(names)


def _is_ours(path: str, name: str) -> bool:
    try:
        with open_regular(path) as handle:
            head = handle.read(_HEAD_BYTES)
    except OSError:
        return False
    return all(mark in head for mark in _DOCUMENTS[name])
