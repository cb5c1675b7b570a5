"""Plot of the calls of each client over time.

One panel for each client, all in the same twenty minutes: what was let through, what was rejected, and what
the limit was. The only file of the rate limit benchmark that draws; the figures are those of the tables.
"""

import importlib
from pathlib import Path
from typing import Any

from tests.simulation.rate_limit.clients import CLIENTS
from tests.simulation.rate_limit.policies import PolicyFactory
from tests.simulation.rate_limit.scenarios import MINUTE_S, SCENARIOS, Kind, Scenario
from tests.simulation.rate_limit.simulation import Result, count_per_step, simulate

_SCENARIO = "halved"
_MINUTES = 20
_STEP_S = 30.0
_HIGHEST = 700
"""Calls a minute; the part above is cut off."""
_ACCEPTED, _REFUSED, _LIMIT = "#2166ac", "#d6604d", "#555555"


def draw(path: Path) -> None:
    """Write the plot."""
    plt = _pyplot()
    settings = {"svg.hashsalt": "pacing", "svg.fonttype": "none", "font.size": 8}
    with plt.rc_context(settings):
        figure, axes = plt.subplots(2, 3, figsize=(10, 5.2), sharex=True, sharey=True)
        scenario = SCENARIOS[_SCENARIO].with_service(Kind.FIXED)
        for panel, (name, maker) in zip(axes.flat, CLIENTS.items(), strict=True):
            _panel(panel, name, maker, scenario)
        axes[0][0].legend(loc="upper left", frameon=False)
        for left in axes[:, 0]:
            left.set_ylabel("calls a minute")
        for lowest in axes[-1]:
            lowest.set_xlabel("minutes")
        figure.tight_layout()
        path.parent.mkdir(exist_ok=True)
        # Without its date the same figures give the same file.
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _panel(panel: Any, name: str, maker: PolicyFactory, scenario: Scenario) -> None:
    result = simulate(maker, scenario, 0, _MINUTES)
    edges = [step * _STEP_S / MINUTE_S for step in range(round(_MINUTES * MINUTE_S / _STEP_S) + 1)]
    accepted, refused = (
        [count * MINUTE_S / _STEP_S for count in count_per_step(instants_s, _STEP_S, _MINUTES)]
        for instants_s in (result.accepted_at_s, result.refused_at_s)
    )
    panel.stairs(refused, edges, fill=True, color=_REFUSED, alpha=0.75, label="refused (429)")
    panel.stairs(accepted, edges, color=_ACCEPTED, linewidth=1.3, label="let through")
    begin_s, end_s = scenario.halved_s or (0.0, 0.0)
    limits = [scenario.rpm, scenario.rpm / 2, scenario.rpm]
    bends = [0.0, begin_s / MINUTE_S, end_s / MINUTE_S, _MINUTES]
    panel.stairs(limits, bends, baseline=None, color=_LIMIT, linestyle=":", linewidth=1.2, label="the limit")
    panel.set_title(_title(name, result), fontsize=8)
    panel.set_ylim(0, _HIGHEST)
    panel.set_xlim(0, _MINUTES)
    panel.set_xticks(range(0, _MINUTES + 1, 5))


def _title(name: str, result: Result) -> str:
    given_up = result.images_failed + result.images_deferred
    return (
        f"{name}\n{result.share_of_limit:.0%} of the limit, {result.refused_share:.1%} refused,"
        f" {given_up:,} images given up"
    )


def _pyplot() -> Any:
    # Named at run time: neither the program nor its checks need the library that draws.
    try:
        importlib.import_module("matplotlib").use("Agg")
    except ModuleNotFoundError:
        raise SystemExit(
            "The plot needs matplotlib: python -m pip install -r bench/requirements.txt"
        ) from None
    return importlib.import_module("matplotlib.pyplot")
