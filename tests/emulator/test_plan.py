"""Rules of tests/emulator/plan.py and scenario.py: calls meet the planned faults and no others."""

from collections import Counter

import pytest

from tests.emulator.faults import Fault
from tests.emulator.plan import ContentRule, FaultPlan
from tests.emulator.scenario import faults_from, options_from, plan_from

A, B = "a" * 64, "b" * 64


def choose_all(plan: FaultPlan, images: list[str], prompt: str = "describe") -> list[Fault | None]:
    """Return what successive calls for these images meet."""
    chooser = plan.chooser()
    return [chooser.choose(index, prompt, image) for index, image in enumerate(images)]


def test_an_image_meets_its_script_in_order_and_is_then_answered() -> None:
    """A script belongs to one image, whatever happens between its calls; None in it is an answer."""
    plan = FaultPlan(per_image={A: [Fault.RESET, None, Fault.SAFETY]})

    assert choose_all(plan, [A, B, A, A, A]) == [Fault.RESET, None, None, Fault.SAFETY, None]


def test_an_index_goes_before_all_else() -> None:
    """The script of a call's index wins, and leaves the image's script where it was."""
    plan = FaultPlan(per_call={0: Fault.HANG}, per_image={A: [Fault.RESET]})

    assert choose_all(plan, [A, A, A]) == [Fault.HANG, Fault.RESET, None]


def test_counted_faults_happen_exactly_so_often_on_as_many_images() -> None:
    """Each counted fault is met its number of times, by different images."""
    plan = FaultPlan(counted={Fault.HANG: 1, Fault.RESET: 2})
    images = [A, A, B, "c" * 64, "d" * 64]

    verdicts = choose_all(plan, images)

    assert Counter(filter(None, verdicts)) == {Fault.HANG: 1, Fault.RESET: 2}
    assert [verdict is not None for verdict in verdicts] == [True, False, True, True, False]


def test_rates_are_kept_and_a_seed_repeats_them() -> None:
    """Faults by rate come about as often as said; the same seed deals the same again."""
    plan = FaultPlan(rates={Fault.RESET: 0.2, Fault.UNAVAILABLE: 0.1}, seed=3)
    images = [f"{number:064x}" for number in range(2000)]

    verdicts = choose_all(plan, images)

    counts = Counter(verdicts)
    assert counts[Fault.RESET] == pytest.approx(400, rel=0.15)
    assert counts[Fault.UNAVAILABLE] == pytest.approx(200, rel=0.2)
    assert verdicts == choose_all(plan, images)
    assert verdicts != choose_all(FaultPlan(rates=plan.rates, seed=4), images)


def test_random_faults_are_bounded_for_each_image() -> None:
    """With a bound, an image that asks on is answered, so that enough retries always end well."""
    plan = FaultPlan(rates={Fault.RESET: 1.0}, max_random_per_image=2)

    assert choose_all(plan, [A, A, A, B, A]) == [Fault.RESET, Fault.RESET, None, Fault.RESET, None]


def test_a_cap_bounds_one_fault_in_all() -> None:
    """A capped fault happens at most so often; the others go on."""
    plan = FaultPlan(rates={Fault.HANG: 1.0}, caps={Fault.HANG: 1})

    assert choose_all(plan, [A, B, A]) == [Fault.HANG, None, None]


@pytest.mark.parametrize(
    "rates", [{Fault.RESET: 1.5}, {Fault.RESET: -0.1}, {Fault.RESET: 0.6, Fault.HANG: 0.6}]
)
def test_rates_that_are_no_shares_are_refused(rates: dict[Fault, float]) -> None:
    """Rates lie in 0..1 and add up to at most 1."""
    with pytest.raises(ValueError, match=r"0\.\.1"):
        FaultPlan(rates=rates).chooser()


@pytest.mark.parametrize(
    ("rule", "pleasing"),
    [
        (ContentRule(fault=Fault.SAFETY, max_words=3), "draw a cat"),
        (
            ContentRule(fault=Fault.NO_IMAGE, needs=["image", "picture"]),
            "now make an IMAGE of the man please",
        ),
        (ContentRule(fault=Fault.SAFETY, avoids=["blood"]), "now draw the man without any wounds at all"),
    ],
    ids=["short enough", "names an output", "avoids a word"],
)
def test_a_rule_is_met_until_the_prompt_pleases(rule: ContentRule, pleasing: str) -> None:
    """A content rule looks at the prompt: what does not please meets the fault."""
    plan = FaultPlan(rules=[rule])

    assert choose_all(plan, [A], prompt="now draw the man with all the Blood please") == [rule.fault]
    assert choose_all(plan, [A], prompt=pleasing) == [None]


def test_a_rule_may_concern_some_images_only() -> None:
    """By the beginning of a hash, or by a share of all images."""
    named = FaultPlan(rules=[ContentRule(fault=Fault.SAFETY, images=["aaaa"])])
    half = FaultPlan(rules=[ContentRule(fault=Fault.SAFETY, share=0.5)])
    images = [f"{number * 2**24:064x}" for number in range(256)]

    assert choose_all(named, [A, B]) == [Fault.SAFETY, None]
    assert Counter(choose_all(half, images)) == {Fault.SAFETY: 128, None: 128}


def test_a_rule_may_be_any_function() -> None:
    """A rule is a function of prompt and image."""
    plan = FaultPlan(
        rules=[lambda prompt, sha256: Fault.OTHER if prompt == "describe" and sha256 == B else None]
    )

    assert choose_all(plan, [A, B]) == [None, Fault.OTHER]


def test_a_plan_is_written_in_json() -> None:
    """A scenario says the same as the constructor."""
    document = {
        "images": {A: ["reset", None]},
        "calls": {"3": "hang"},
        "counted": {"safety": 1},
        "rates": {"unavailable": 0.5},
        "caps": {"unavailable": 2},
        "max_random_per_image": 1,
        "rules": [{"fault": "no-image", "max_words": 3}],
        "seed": 5,
    }

    assert plan_from(document) == FaultPlan(
        per_image={A: [Fault.RESET, None]},
        per_call={3: Fault.HANG},
        counted={Fault.SAFETY: 1},
        rates={Fault.UNAVAILABLE: 0.5},
        caps={Fault.UNAVAILABLE: 2},
        max_random_per_image=1,
        rules=[ContentRule(fault=Fault.NO_IMAGE, max_words=3)],
        seed=5,
    )


@pytest.mark.parametrize(
    "document", [{"image": {}}, {"rates": {"no-such-fault": 1}}, {"quotas": [{"meter": "x"}]}]
)
def test_an_unknown_word_in_a_scenario_is_said(document: dict[str, object]) -> None:
    """A scenario with a slip of the pen is refused, not half obeyed."""
    with pytest.raises(ValueError, match=r"unknown|not a valid Fault|no meter"):
        options_from(document)


def test_faults_are_written_as_flags() -> None:
    """A rate, a capped rate, a count and an index are distinguished."""
    flags = ["reset=0.05", "hang=0.1/1x", "safety=2x", "close=@7"]

    assert faults_from(flags) == {
        "rates": {"reset": 0.05, "hang": 0.1},
        "caps": {"hang": 1},
        "counted": {"safety": 2},
        "calls": {"7": "close"},
    }
