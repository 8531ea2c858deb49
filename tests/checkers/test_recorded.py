"""Checkers on trials that were recorded from real servers, beside a stopwatch that knows nothing of them."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from lab.checkers import harm, quiet, staleness, validity
from lab.history import History
from lab.verdict import Valid

HISTORIES = Path(__file__).parents[1] / "histories"


def recorded(name: str) -> History:
    """A recorded trial."""
    return History.read((HISTORIES / name).glob("*.jsonl"))


def stopwatch(name: str) -> dict[int, float]:
    """Client -> seconds from the crash to the last instant at which its view had the dead one; from raw JSON only."""
    events: list[dict[str, Any]] = []
    for path in (HISTORIES / name).glob("*.jsonl"):
        events += [json.loads(line) for line in path.read_text().splitlines()[1:]]
    events.sort(key=lambda event: event["t_ns"])
    crash = next(event for event in events if event["kind"] == "fault.effective")
    healed = next(event["after_ns"] for event in events if event["kind"] == "fault.healed")
    dead, died_ns = crash["node"], (crash["after_ns"] + crash["before_ns"]) / 2
    ends: dict[int, float] = defaultdict(lambda: died_ns)
    listed: dict[int, bool] = {}
    expires: dict[int, int | None] = {}
    for event in events:
        if event["kind"] != "view" or event["t_ns"] > healed:
            continue
        client, lapsed = event["client"], expires.get(event["client"])
        begins = event["t_ns"] if lapsed is None else min(event["t_ns"], lapsed)
        if listed.get(client):
            ends[client] = max(ends[client], begins)
        if "full" in event:
            listed[client] = dead in event["full"]
        expires[client] = event.get("expires_ns")
    return {client: (end - died_ns) / 1e9 for client, end in ends.items()}


@pytest.mark.parametrize("name", ["crash-dns-ok", "crash-zookeeper-ok"])
def test_staleness_is_what_a_stopwatch_reads_off_the_raw_lines(name: str) -> None:
    """Every client's dead-but-listed time agrees with an independent reading to a microsecond."""
    verdict = staleness.check(recorded(name))
    ours = {s.client: s.value for s in verdict.samples if s.measure == "dead_but_listed_s"}
    assert ours == pytest.approx(stopwatch(name), abs=1e-6)
    assert len(ours) == 4
    assert all(sum(s.phases.values()) == pytest.approx(s.value) for s in verdict.samples if s.phases)


@pytest.mark.parametrize("name", ["crash-dns-ok", "crash-zookeeper-ok"])
def test_a_good_trial_is_valid_and_nobody_was_removed_falsely(name: str) -> None:
    """A trial in which a fault took effect and everybody watched can be judged."""
    history = recorded(name)
    assert validity.check(history).valid is Valid.YES, validity.check(history).reasons
    assert {s.value for s in quiet.check(history).samples} == {0.0}
    assert any(s.measure == "attempts_on_dead" and s.value > 0 for s in harm.check(history).samples)


def test_a_fault_without_effect_is_never_a_pass() -> None:
    """The planted lie is unknown, and the reason names the evidence that is missing."""
    verdict = validity.check(recorded("validity-bad"))
    assert verdict.valid is Valid.UNKNOWN
    assert any("missing evidence: pids_gone" in reason for reason in verdict.reasons)
