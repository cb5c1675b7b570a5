"""Which part of the limit is ours beside other runs on the same key?

Dividing by the number of runs wastes what a run does not use that waits for its disk. So each run says
what it could use; whoever needs less than an equal share gets what it needs, and the rest is divided
equally among those who are held back. This file does not know how runs tell each other.
"""

from collections.abc import Sequence


def portion(pace: float, demands: Sequence[float]) -> float:
    """Return the part (above 0, at most 1) of a pace that is ours, which can use all of it.

    Args:
        pace: what all runs together may start each minute.
        demands: what each other run could use each minute; may be infinite.
    """
    left, hungry = pace, len(demands) + 1
    for demand in sorted(demands):
        if demand >= left / hungry:
            break
        left -= max(0.0, demand)
        hungry -= 1
    return left / hungry / pace if pace > 0.0 else 1.0
