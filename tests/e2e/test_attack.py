"""Attacks on the whole program: a smaller number of those of ``make attack-test``."""

import pytest

from tests.attack.kinds import KINDS, Kind
from tests.attack.referee import Job, play_one

pytestmark = pytest.mark.e2e

FIRST_SEED = 1
CASES = [
    pytest.param(kind, seed, id=f"{kind.name} {seed}")
    for kind in KINDS
    for seed in range(FIRST_SEED, FIRST_SEED + kind.few)
]


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_an_attack_does_no_harm(kind: Kind, seed: int) -> None:
    """Nothing lost, doubled, wrong, left over or outside; no key, no traceback."""
    job, tally = play_one(Job(kind=kind.name, seed=seed))

    assert not tally.failures, "\n".join([*tally.failures, job.command])
    assert tally.cases or tally.not_tried
