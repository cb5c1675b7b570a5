"""Scenarios in JSON or on a command line: text in, options of `Emulator` out."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.emulator.faults import Fault
from tests.emulator.plan import ContentRule, FaultPlan
from tests.emulator.quotas import FixedWindow, Meter, Quota, SlidingWindow, TokenBucket, Unit

_MINUTE_S = 60.0
_DAY_S = 86_400.0
_PLAIN_FIELDS = frozenset(
    {
        "keys",
        "models",
        "seed",
        "latency_s",
        "hint_s",
        "hang_s",
        "drip_s",
        "picture_px",
        "check_images",
        "check_deadline",
    }
)
_PLAN_FIELDS = frozenset(
    {"images", "calls", "counted", "rates", "caps", "max_random_per_image", "rules", "seed"}
)


def options_from(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments for `Emulator`, from one object of which every field may be left out.

    * ``keys``, ``models``: lists; ``seed``, ``latency_s`` (a number or ``[low, high]``), ``hint_s``,
      ``hang_s``, ``drip_s``, ``picture_px``, ``check_images``, ``check_deadline``: as in `Emulator`;
    * ``images``: ``{"<sha256>": ["reset", null, "safety"]}``, what an image's successive calls meet;
    * ``calls``: ``{"3": "hang"}``, by index of the call;
    * ``counted``: ``{"hang": 1}``; ``rates``: ``{"reset": 0.05}``; ``caps``; ``max_random_per_image``;
    * ``rules``: a list of `ContentRule`s, ``{"fault": "safety", "avoids": ["blood"]}``;
    * ``quotas``: ``[{"meter": "fixed:60", "unit": "requests", "per_day": false}]``; see `meter_from`.

    Raises:
        ValueError: a field or a fault is unknown, or a meter cannot be read.

    """
    _check_fields(document, _PLAIN_FIELDS | _PLAN_FIELDS | {"quotas"})
    options = {name: value for name, value in document.items() if name in _PLAIN_FIELDS}
    if isinstance(options.get("latency_s"), list):
        options["latency_s"] = tuple(options["latency_s"])
    plan = {name: value for name, value in document.items() if name in _PLAN_FIELDS}
    quotas = [quota_from(quota) for quota in document.get("quotas", ())]
    return {**options, "plan": plan_from(plan), "quotas": quotas}


def plan_from(document: Mapping[str, Any]) -> FaultPlan:
    """Return the fault plan of a scenario.

    Raises:
        ValueError: a field or a fault is unknown.

    """
    _check_fields(document, _PLAN_FIELDS)
    images: Mapping[str, Iterable[str | None]] = document.get("images", {})
    return FaultPlan(
        per_image={sha256: [_verdict(name) for name in script] for sha256, script in images.items()},
        per_call={int(index): Fault(name) for index, name in document.get("calls", {}).items()},
        counted={Fault(name): times for name, times in document.get("counted", {}).items()},
        rates={Fault(name): rate for name, rate in document.get("rates", {}).items()},
        caps={Fault(name): times for name, times in document.get("caps", {}).items()},
        max_random_per_image=document.get("max_random_per_image"),
        rules=[_rule(rule) for rule in document.get("rules", ())],
        seed=document.get("seed", 0),
    )


def quota_from(document: Mapping[str, Any]) -> Quota:
    """Return one quota of a scenario.

    Raises:
        ValueError: the meter or the unit cannot be read.

    """
    per_day = bool(document.get("per_day", False))
    meter = meter_from(document["meter"], _DAY_S if per_day else _MINUTE_S)
    return Quota(meter=meter, unit=Unit(document.get("unit", "requests")), per_day=per_day)


def meter_from(text: str, window_s: float = _MINUTE_S) -> Meter:
    """Return the meter that a text like ``fixed:60`` or ``bucket:60:5@3`` describes.

    A meter is ``fixed``, ``sliding`` or ``bucket``, then ``:limit``, for a bucket perhaps ``:burst``,
    and perhaps ``@seconds`` for a window other than a minute: ``bucket:60:5``, ``fixed:20@3``.

    Raises:
        ValueError: it describes none.

    """
    counts, _, window = text.partition("@")
    kind, *numbers = counts.split(":")
    over_s = float(window) if window else window_s
    match kind, [int(number) for number in numbers]:
        case "fixed", [limit]:
            return FixedWindow(limit, over_s)
        case "sliding", [limit]:
            return SlidingWindow(limit, over_s)
        case "bucket", [limit]:
            return TokenBucket(limit, over_s)
        case "bucket", [limit, burst]:
            return TokenBucket(limit, over_s, burst)
    raise ValueError(
        f"{text!r} is no meter: fixed:LIMIT, sliding:LIMIT or bucket:LIMIT[:BURST], then [@SECONDS]"
    )


def faults_from(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the plan fields for ``--fault`` flags.

    ``reset=0.05`` is a rate, ``reset=0.05/3x`` a rate and a cap, ``hang=1x`` a count, ``hang=@7``
    the call with this index.

    Raises:
        ValueError: a text is none of these.

    """
    fields: dict[str, dict[str, Any]] = {"rates": {}, "caps": {}, "counted": {}, "calls": {}}
    for text in texts:
        name, _, amount = text.partition("=")
        fault, rate, cap = Fault(name).value, *amount.partition("/")[::2]
        if rate.startswith("@"):
            fields["calls"][rate[1:]] = fault
        elif rate.endswith("x"):
            fields["counted"][fault] = int(rate[:-1])
        else:
            fields["rates"][fault] = float(rate)
        if cap:
            fields["caps"][fault] = int(cap.removesuffix("x"))
    return fields


def _check_fields(document: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = sorted(set(document) - set(known))
    if unknown:
        raise ValueError(f"unknown in a scenario: {', '.join(unknown)}; known: {', '.join(sorted(known))}")


def _verdict(name: str | None) -> Fault | None:
    return None if name is None else Fault(name)


def _rule(document: Mapping[str, Any]) -> ContentRule:
    return ContentRule(**{**document, "fault": Fault(document["fault"])})
