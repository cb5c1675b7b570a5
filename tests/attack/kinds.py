"""The kinds of attack, and how many batches of each are played."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.attack import (
    caps,
    corruptions,
    disks,
    hostile_replies,
    key_hunts,
    kills,
    limits,
    live_copies,
    mutated_images,
    mutated_replies,
    names,
    signals,
    wrong_settings,
)
from tests.attack.arena import Arena


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of attack."""

    name: str
    title: str
    """What is done, in one line of docs/reliability.md."""
    case: str
    """What is counted."""
    play: Callable[[Arena], Awaitable[None]]
    batches: int
    """At full scale."""
    few: int
    """In ``make test``."""
    also_counts: frozenset[str] = frozenset()
    """Further counts of its tally that the table shows."""


KINDS = (
    Kind(
        name="kills",
        title="`kill -9` at random instants and at random changes of files, in eight modes",
        case="batch",
        play=kills.play,
        batches=184,
        few=8,
        also_counts=frozenset({"`kill -9`"}),
    ),
    Kind(
        name="signals",
        title="Ctrl-C and SIGTERM, two at random instants, while calls hang; ends within the grace + 2 s",
        case="batch",
        play=signals.play,
        batches=40,
        few=2,
    ),
    Kind(
        name="live-copies",
        title="the output copied while a run goes on, then resumed from the copy",
        case="copy",
        play=live_copies.play,
        batches=36,
        few=1,
    ),
    Kind(
        name="corruptions",
        title="journal, ledger, documents, locks and answers flipped, cut, zeroed, removed, swapped, doubled",
        case="damaged tree",
        play=corruptions.play,
        batches=52,
        few=1,
    ),
    Kind(
        name="mutated-replies",
        title="bodies, frames and headers of replies mutated at random; a quarter with the whole program, the"
        " rest with its client in one process",
        case="reply",
        play=mutated_replies.play,
        batches=40,
        few=2,
        also_counts=frozenset({"with the program", "with its client"}),
    ),
    Kind(
        name="hostile-replies",
        title="bombs, floods, odd numbers, pictures and words, each between right replies",
        case="reply",
        play=hostile_replies.play,
        batches=26,
        few=1,
    ),
    Kind(
        name="mutated-images",
        title="samples of every format with bytes flipped, cut, inserted, repeated, joined",
        case="image",
        play=mutated_images.play,
        batches=10,
        few=1,
    ),
    Kind(
        name="settings",
        title="wrong values of every option, from flags, the environment, `.env` and TOML files",
        case="value",
        play=wrong_settings.play,
        batches=10,
        few=1,
    ),
    Kind(
        name="names",
        title="odd names of files and folders",
        case="name",
        play=names.play,
        batches=3,
        few=1,
    ),
    Kind(
        name="disks",
        title="disks that are full, have no room for names or are read-only; NTFS, exFAT, encrypted (FUSE)",
        case="batch",
        play=disks.play,
        batches=36,
        few=6,
    ),
    Kind(
        name="limits",
        title="limits on descriptors, memory, processes and sizes of files; then a run without them",
        case="batch",
        play=limits.play,
        batches=36,
        few=3,
    ),
    Kind(
        name="caps",
        title="`--max-cost` under usage that is missing, wrong or late, kills, two runs at once, each its cap"
        " (the program but for network and disk, on a virtual clock)",
        case="run",
        play=caps.play,
        batches=10,
        few=1,
    ),
    Kind(
        name="key-hunts",
        title="a service that echoes the key in every way; then a search of all files and streams for it",
        case="batch",
        play=key_hunts.play,
        batches=26,
        few=2,
    ),
)
