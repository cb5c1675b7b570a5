"""The clients that are compared, by name, ours first."""

from collections.abc import Mapping

from tests.simulation.rate_limit.ours import OurClient
from tests.simulation.rate_limit.peers import (
    AimdClient,
    doubled_bucket,
    fifty_slots,
    five_slots,
    right_bucket,
)
from tests.simulation.rate_limit.policies import PolicyFactory

USUAL_CLIENTS: Mapping[str, PolicyFactory] = {
    "5 slots": five_slots,
    "50 slots": fifty_slots,
    "AIMD": AimdClient,
    "right bucket": right_bucket,
    "2x bucket": doubled_bucket,
}
CLIENTS: Mapping[str, PolicyFactory] = {"ours": OurClient, **USUAL_CLIENTS}
