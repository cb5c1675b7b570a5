"""Calls at a time: as many as the user wants, unless the system has too few descriptors for them."""

import logging
from typing import Final

from utils.descriptors import make_room

log = logging.getLogger(__name__)

_FOR_FILES: Final = 64
"""Descriptors that stay free for answers, images, the journal and libraries; many more than they take."""


def limit_to_descriptors(wanted: int) -> int:
    """Return the calls at a time for which there are descriptors; tell the user if they are fewer.

    Each call takes a connection; half of what is free stays for files where there is little.
    """
    room = make_room(2 * wanted + _FOR_FILES)
    allowed = max(1, room - min(_FOR_FILES, (room + 1) // 2))
    if allowed < wanted:
        log.warning(
            "the system lets the program open %d more files (ulimit -n): %d calls at a time, not %d. Next:"
            " raise the limit, or set --max-concurrent %d",
            room,
            allowed,
            wanted,
            allowed,
        )
    return min(wanted, allowed)
