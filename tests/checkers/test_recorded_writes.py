"""Checkers on recorded trials about writes, beside a recomputation that knows nothing of them: raw JSON only."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab.history import History
from lab.judge import judge_trial
from lab.result import TrialResult

HISTORIES = Path(__file__).parents[1] / "histories"
NAMES = ["write-crash-sync-ok", "write-split-brain-bad", "write-site-loss-bad"]
STREAK = 10
S = 1e9

Raw = dict[str, list[dict[str, Any]]]


class Read(NamedTuple):
    """What was read off the raw lines."""

    outage_s: float
    longest_gap_s: float
    counts: dict[str, int]
    lost_s: float
    split: int
    split_s: float
    by_node: dict[str, int]


def raw(name: str) -> Raw:
    """Every line but the headers, by kind, in order of time."""
    found: Raw = defaultdict(list)
    lines = [line for path in (HISTORIES / name).glob("*.jsonl") for line in path.read_text().splitlines()[1:]]
    for event in sorted(map(json.loads, lines), key=lambda event: event["t_ns"]):
        found[event["kind"]].append(event)
    return found


def stopwatch(events: Raw) -> Read:
    """One strike, one route, one promotion; by definition, without a thought of speed or of anything unusual."""
    (route,), (struck,) = events["plan"][0]["routes"], events["fault.effective"]
    (promoted,) = [
        event
        for event in events["database.state"]
        if event["state"] == "primary"
        and event["node"] != struck["node"]
        and event["t_ns"] > struck["after_ns"]
        and event["timeline"] == 2
    ][:1]
    deadline_ns = route["settings"]["deadline_s"] * S
    writes = sorted(events["write"], key=lambda write: write["due_ns"])
    acked = [write for write in writes if write["outcome"] == "ok"]
    done = sorted(write["t_ns"] for write in acked)
    gaps = [b - a for a, b in pairwise(done)]
    (survivor,) = [e for e in events["rows"] if e["when"] == "final" and not e["in_recovery"] and e["timeline"] == 2]
    there = {number for first, last in survivor["ranges"][route["label"]] for number in range(first, last + 1)}
    lost = sorted(write["t_ns"] for write in acked if write["id"] not in there)
    after = [write for write in acked if write["t_ns"] > promoted["before_ns"]]
    beside = [write["t_ns"] for write in after if write["node"] != promoted["node"]]
    return Read(
        outage(writes, struck["after_ns"], deadline_ns),
        max(gaps) / S,
        {
            "writes": len(writes),
            "kept": len(acked) - len(lost),
            "lost": len(lost),
            "unacknowledged_kept": len(there) - (len(acked) - len(lost)),
            "warned": sum(write["warned"] for write in acked),
        },
        (lost[-1] - lost[0]) / S if lost else 0.0,
        len(beside),
        (max(beside) - promoted["before_ns"]) / S if beside else 0.0,
        dict(Counter(write["node"] for write in after)),
    )


def outage(writes: list[dict[str, Any]], struck_ns: int, deadline_ns: float) -> float:
    """From the first write not acknowledged in time, not before the strike, to the first of ten that were."""
    in_time = [write["outcome"] == "ok" and write["t_ns"] <= write["due_ns"] + deadline_ns for write in writes]
    since = [place for place, write in enumerate(writes) if write["t_ns"] >= struck_ns and write["why"] != "ended"]
    first = next((place for place in since if not in_time[place]), None)
    if first is None:
        return 0.0
    back = next(p for p in range(first, len(writes)) if all(in_time[p : p + STREAK]))
    return float(writes[back]["t_ns"] - max(struck_ns, writes[first]["due_ns"])) / S


def judged(name: str) -> TrialResult:
    """What the lab says."""
    return judge_trial(History.read((HISTORIES / name).glob("*.jsonl")))


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_what_a_stopwatch_reads_off_the_raw_lines(name: str) -> None:
    """To a microsecond, and to the last write."""
    trial, read = judged(name), stopwatch(raw(name))
    assert (trial.valid, trial.reasons) == ("yes", [])
    assert trial.means["outage_s"] == pytest.approx(read.outage_s, abs=1e-6)
    assert trial.means["lost_s"] == pytest.approx(read.lost_s, abs=1e-6)
    (account,) = trial.accounts
    assert read.counts == {
        "writes": account.writes,
        "kept": account.kept["writes"],
        "lost": account.lost["writes"],
        "unacknowledged_kept": account.unacknowledged_kept,
        "warned": account.kept["warned"] + account.lost["warned"],
    }
    assert trial.means["lost_writes"] == read.counts["lost"]
    assert account.kept["writes"] + account.lost["writes"] + account.unacknowledged_kept + (
        account.unacknowledged_absent["writes"]
    ) == (account.writes)
    assert trial.means["split_brain_writes"] == read.split
    assert trial.means["split_brain_s"] == pytest.approx(read.split_s, abs=1e-6)
    assert trial.figures["acknowledged_after_promotion"] == read.by_node
    (fall,) = trial.waterfalls
    assert sum(step.lasts_s for step in fall.steps) == pytest.approx(fall.outage_s)
    # A route that nobody acknowledged for so long was not in service, and one in service was not silent for longer.
    assert read.longest_gap_s <= max(fall.outage_s + 0.1, 0.5)


def test_sync_lost_nothing_in_a_crash() -> None:
    """A failover, and every acknowledged write is there."""
    trial = judged("write-crash-sync-ok")
    assert trial.waterfalls[0].kind == "failover"
    assert [step.name for step in trial.waterfalls[0].steps] == ["detection", "promotion", "writable", "client"]
    assert (trial.means["lost_writes"], trial.means["split_brain_writes"]) == (0.0, 0.0)


def test_two_that_acknowledged_are_found_where_no_client_missed_anything() -> None:
    """No outage at all, and that is the worst of it: 391 acknowledged writes are gone."""
    trial = judged("write-split-brain-bad")
    assert trial.means["outage_s"] == 0.0
    assert (trial.means["lost_writes"], trial.means["split_brain_writes"]) == (391.0, 317.0)
    assert any("there were two primaries" in sentence for sentence in trial.sentences)


def test_what_was_under_way_over_the_link_is_lost() -> None:
    """About as many writes as are acknowledged in the 100 ms of its lag."""
    trial = judged("write-site-loss-bad")
    assert trial.means["lost_writes"] == 8.0
    assert trial.means["lost_s"] == pytest.approx(0.1, abs=0.02)
    assert trial.accounts[0].source == "read before it was rewound"
