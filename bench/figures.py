"""File of figures, which outlive the run that measured them.

All scenarios take an hour: with a file of figures they can be measured one by one, and the tables made
again. New figures replace the earlier ones of the same client in the same scenario and nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.arena import Results
from bench.measure import Result, Seen, Used
from bench.scenarios import RESUME, SCENARIOS, Scenario


def load(path: Path | None) -> dict[Scenario, Results]:
    """Return what a file holds, in the order of the scenarios; nothing when there is no file."""
    if path is None or not path.exists():
        return {}
    document = json.loads(path.read_text())
    known = (scenario for scenario in (*SCENARIOS, RESUME) if scenario.name in document)
    return {
        scenario: {name: [_result(row) for row in rows] for name, rows in document[scenario.name].items()}
        for scenario in known
    }


def save(path: Path, found: Mapping[Scenario, Results]) -> None:
    """Write all figures."""
    document = {
        scenario.name: {name: [asdict(result) for result in rows] for name, rows in results.items()}
        for scenario, results in found.items()
    }
    path.write_text(json.dumps(document))


def merged(old: Mapping[Scenario, Results], new: Mapping[Scenario, Results]) -> dict[Scenario, Results]:
    """Return both, in the order of the scenarios; of the same client in the same scenario the new."""
    scenarios = (scenario for scenario in (*SCENARIOS, RESUME) if scenario in old or scenario in new)
    return {scenario: {**old.get(scenario, {}), **new.get(scenario, {})} for scenario in scenarios}


def _result(row: Mapping[str, Any]) -> Result:
    return Result(**{**row, "used": Used(**row["used"]), "seen": Seen(**row["seen"])})
