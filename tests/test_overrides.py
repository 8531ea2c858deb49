"""--set changes settings by name, and says which there are."""

from __future__ import annotations

import pytest

from lab.errors import BadInput
from lab.overrides import apply_sets, parse_sets
from lab.scenario import Scenario
from tests.stand_in import Names, scenario


def ttls(made: Scenario) -> list[float]:
    return [system.ttl_s for arm in made.arms for system in arm.systems if isinstance(system, Names)]


def test_a_name_alone_is_set_everywhere() -> None:
    """ttl_s=3 goes to both arms; slow.ttl_s=4 to one; names.ttl_s=1 to every system of that name."""
    assert ttls(apply_sets(scenario(), {"ttl_s": "3"})) == [3.0, 3.0]
    assert ttls(apply_sets(scenario(), {"slow.ttl_s": "4"})) == [4.0, 2.0]
    assert ttls(apply_sets(scenario(), {"names.ttl_s": "1"})) == [1.0, 1.0]


def test_load_strikes_and_scenario_can_be_set() -> None:
    """count, load.pool, every_s, repeats, hold_s."""
    sets = {"count": "12", "load.pool": "2", "every_s": "2", "repeats": "1", "hold_s": "30", "deadline_s": "0.8"}
    made = apply_sets(scenario(), sets)
    assert (made.load.count, made.load.settings["pool"], made.load.deadline_s) == (12, 2, 0.8)
    assert (made.strikes[0].every_s, made.repeats, made.hold_s) == (2.0, 1, 30.0)


def test_nothing_set_is_the_same_scenario() -> None:
    """No copy is made."""
    made = scenario()
    assert apply_sets(made, {}) is made


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"tll_s": "3"}, "--set tll_s: there is no such setting; settings are at_s, connect_timeout_s, count"),
        ({"count": "many"}, "--set count: 'many' is not a whole number"),
        ({"count": "1.5"}, "--set count: '1.5' is not a whole number"),
        ({"pick": "best"}, "--set pick: 'best' is not srv or random"),
        ({"exact": "perhaps"}, "--set exact: 'perhaps' is not true or false"),
        ({"ttl_s": "-1"}, "ttl_s=-1 must be at least 0"),
        ({"hold_s": "1"}, "hold_s=1 is shorter"),
    ],
)
def test_nonsense_is_one_sentence(sets: dict[str, str], message: str) -> None:
    """An unknown name or an unfit value is BadInput."""
    with pytest.raises(BadInput) as caught:
        apply_sets(scenario(), sets)
    assert message in str(caught.value)


def test_pairs_are_parsed() -> None:
    """name=value, the value may have an equals sign; without one it is refused."""
    assert parse_sets(("a=1", " b = x=y ")) == {"a": "1", "b": "x=y"}
    with pytest.raises(BadInput, match="write name=value"):
        parse_sets(("ttl_s",))
