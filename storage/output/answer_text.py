"""Text of an answer's file, and the marks of files that a dry run writes; no I/O."""

from collections.abc import Sequence

from models import DRY_RUN_MARK

DRY_RUN_LINE = f"{DRY_RUN_MARK} No call was made: this file shows what a real run would leave in its place.\n"
"""The first line of every text that a dry run writes."""

DRY_RUN_TRAILER = f"\n{DRY_RUN_MARK} simulated picture\n".encode()
"""The last bytes of every picture that a dry run writes; viewers ignore them."""


def format_answer_text(text: str, pictures: Sequence[str]) -> str:
    """Return the content of an answer's text file: the answer as it is, with one line feed at its end.

    An answer without text gives one line that names its pictures.
    """
    if text.strip() or not pictures:
        return text.rstrip("\r\n") + "\n"
    described = "this picture" if len(pictures) == 1 else f"these {len(pictures)} pictures"
    return f"The answer has no text, only {described}: {', '.join(pictures)}\n"


def encode_utf8(text: str) -> bytes:
    """Return ``text`` in UTF-8, with U+FFFD for halves of surrogate pairs, which UTF-8 cannot hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
