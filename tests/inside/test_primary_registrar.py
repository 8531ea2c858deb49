"""Whom the registrar takes for the primary, what it publishes of that, and what it says of two or none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import orjson

from lab.history import Recorder
from lab.inside.primary_choice import Health, Primary, choose
from lab.inside.primary_registrar import Publisher, Registrar, Rules
from lab.inside.primary_znode import Failed

ADDRESSES = {"postgres1": "10.0.0.1", "postgres2": "10.0.0.2", "postgres3": "10.0.0.3"}
ONE = Primary("postgres1", "10.0.0.1", 1)
TWO = Primary("postgres2", "10.0.0.2", 2)


def seen(**timelines: int) -> dict[str, Health]:
    return {node: Health(timeline=timelines.get(node, 0)) for node in ADDRESSES}


def test_of_two_primaries_the_highest_timeline() -> None:
    """It was promoted later; the other one has not heard of it."""
    assert choose(seen(postgres1=1, postgres2=2), ADDRESSES, ONE) == TWO
    assert choose(seen(postgres1=1, postgres2=2), ADDRESSES, None) == TWO


def test_the_last_primary_stays_until_there_is_another() -> None:
    """Nothing is withdrawn: a client has to go somewhere."""
    assert choose(seen(), ADDRESSES, ONE) == ONE
    assert choose(seen(), ADDRESSES, None) is None


def test_it_never_goes_back_to_an_older_timeline() -> None:
    """An old primary that comes back while the new one is silent has been overtaken all the same."""
    assert choose(seen(postgres1=1), ADDRESSES, TWO) == TWO


def test_two_on_one_timeline_change_nothing() -> None:
    """Who is published stays; where nobody is, the lowest number is taken."""
    both = seen(postgres2=2, postgres3=2)
    assert choose(both, ADDRESSES, Primary("postgres3", "10.0.0.3", 2)) == Primary("postgres3", "10.0.0.3", 2)
    assert choose(both, ADDRESSES, ONE) == TWO


def test_a_primary_is_one_for_a_few_silent_checks_and_until_it_says_otherwise() -> None:
    """Two failures in a row take it away; saying that it takes no writes does so at once."""
    health = Health()
    timelines = []
    for said in (1, None, 1, None, None, 1, 0):
        health.take(said, 2)
        timelines.append(health.timeline)
    assert timelines == [1, 1, 1, 1, 0, 1, 0]


class Place:
    """Takes what is published, after some failures."""

    server = "zookeeper"

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.put_there: list[Primary] = []
        self.done = asyncio.Event()

    async def put(self, found: Primary) -> None:
        if self.failures:
            self.failures -= 1
            raise Failed("not now")
        self.put_there.append(found)
        self.done.set()


def events_of(folder: Path, act: Callable[[Recorder], Coroutine[Any, Any, None]]) -> list[dict[str, Any]]:
    events = Recorder(folder, "registrar")
    try:
        asyncio.run(act(events))
    finally:
        events.close()
    return [orjson.loads(line) for line in events.path.read_bytes().splitlines()[1:]]


def test_it_publishes_again_until_it_is_acknowledged_and_again_after_a_reset(tmp_path: Path) -> None:
    """One event for each acknowledgement, with the timeline."""

    async def act(events: Recorder) -> None:
        place = Place(failures=1)
        publisher = Publisher(place, events)
        task = asyncio.create_task(publisher.run())
        for _ in range(2):
            publisher.want(None)
            publisher.want(ONE)
            await asyncio.wait_for(place.done.wait(), 5)
            place.done.clear()
            await asyncio.sleep(0)
        assert publisher.told == {"zookeeper": "postgres1"}
        task.cancel()

    events = events_of(tmp_path, act)
    assert [(e["kind"], e["service"], e["node"], e["present"], e["server"], e["timeline"]) for e in events] == [
        ("registry.published", "primary", "postgres1", True, "zookeeper", 1)
    ] * 2


def test_it_records_that_there_were_two_and_that_there_were_none(tmp_path: Path) -> None:
    """By what each said last; one is the rule and makes no event, but for the end of the exception."""

    async def act(events: Recorder) -> None:
        registrar = Registrar(Rules(failures_to_remove=2), ADDRESSES, [], "7", events)
        told = [("postgres3", 0), ("postgres1", 1), ("postgres2", 0), ("postgres1", None), ("postgres2", 2)]
        for at, (node, said) in enumerate([*told, ("postgres1", 1), ("postgres1", 0)]):
            registrar._take(node, said, "" if said is not None else "refused", at, at + 1)
        assert registrar.found == TWO

    saw = [event["primaries"] for event in events_of(tmp_path, act) if event["kind"] == "registrar.saw"]
    two = [["postgres1", 1], ["postgres2", 2]]
    assert saw == [[], [["postgres2", 2]], two, [["postgres2", 2]]]


def test_a_check_is_recorded_where_it_failed_or_says_something_new(tmp_path: Path) -> None:
    """A standby that says every quarter of a second that it is one makes one event."""

    async def act(events: Recorder) -> None:
        registrar = Registrar(Rules(), ADDRESSES, [], "7", events)
        for said, why in ((0, ""), (0, ""), (None, "refused"), (None, "refused"), (0, "")):
            registrar._take("postgres2", said, why, 1, 5)

    checks = [event for event in events_of(tmp_path, act) if event["kind"] == "check"]
    assert [(c["ok"], c["why"], c["timeline"], c["took_ns"]) for c in checks] == [
        (True, "", 0, 4),
        (False, "refused", None, 4),
        (False, "refused", None, 4),
        (True, "", 0, 4),
    ]
