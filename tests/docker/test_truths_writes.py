"""Known truths about writes that the lab must recover from a real database before anybody may believe it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from lab import Arm, Scenario, SqlWriters, Strike, bound, leader, named, total, worst
from lab.faults import Crash, Partition, PostmasterCrash, Reject, SiteLoss
from lab.measures import lost_writes, outage_s
from lab.result import Result
from lab.routes import MultiHost
from lab.store import RunFolder
from lab.systems import Controller, Manual, Patroni, Postgres, ZooKeeper
from tests.docker.test_truths import reasons, samples

pytestmark = pytest.mark.docker

LabRun = Callable[..., tuple[Result, RunFolder]]

PATIENT = Arm("patient", Postgres(standbys=1), Manual(after_s=60), routes=[MultiHost()])
"""Nobody promotes anything while a path is cut for a few seconds."""


def spans(folder: RunFolder) -> list[tuple[float, float]]:
    """(shortest, longest) seconds that each strike of the first trial really held, by its agent's own stamps."""
    history = folder.history(folder.trials()[0])
    begun = {e.fields["strike"]: e.fields for e in history.of("fault.effective")}
    healed = {e.fields["strike"]: e.fields for e in history.of("fault.healed")}
    return [
        (
            (healed[n]["after_ns"] - begun[n]["before_ns"]) / 1e9,
            (healed[n]["before_ns"] - begun[n]["after_ns"]) / 1e9,
        )
        for n in sorted(begun)
    ]


def trials_of(folder: RunFolder) -> list[list[dict[str, Any]]]:
    """Each trial's raw events in order of time, with what its writer's wall clock is ahead of its monotonic one."""
    trials: list[list[dict[str, Any]]] = []
    for trial in sorted((folder.path / "trials").iterdir()):
        events: list[dict[str, Any]] = []
        for file in trial.glob("*.jsonl"):
            head, *lines = (json.loads(line) for line in file.read_text().splitlines())
            wall_ns = int(datetime.fromisoformat(head["wall"]).timestamp() * 1e6) * 1000
            events += [{**line, "wall_less_t_ns": wall_ns - head["t_ns"]} for line in lines]
        trials.append(sorted(events, key=lambda event: int(event["t_ns"])))
    return trials


def outages(result: Result) -> list[dict[str, Any]]:
    """The outage samples in order of their strikes."""
    return sorted(samples(result, "outage_s"), key=lambda sample: str(sample["change"]))


def test_scripted_outages_are_measured_to_within_20_ms(lab_run: LabRun) -> None:
    """Connections that are reset for 1.3, 2.0 and 2.7 s, at 200 writes a second."""
    lengths = (1.3, 2.0, 2.7)
    scenario = Scenario(
        arms=[PATIENT],
        load=SqlWriters(rate_per_s=200),
        strikes=[
            Strike(Reject(), target=leader("postgres"), at_s=at_s, for_s=for_s)
            for at_s, for_s in zip((0, 4, 9), lengths, strict=True)
        ],
        objectives=[worst(outage_s) < 5],
        repeats=1,
    )
    result, folder = lab_run(scenario)
    found = outages(result)
    assert len(found) == 3, reasons(result)
    for sample, (low_s, high_s) in zip(found, spans(folder), strict=True):
        assert low_s - 0.020 <= sample["value"] <= high_s + 0.020, (sample, low_s, high_s)


def test_after_dropped_packets_the_rest_is_called_tcp_retransmission(lab_run: LabRun) -> None:
    """An outage by DROP comes out at its length and up to 1.1 s more, and the waterfall says whose that is."""
    lengths = (1.5, 2.2)
    scenario = Scenario(
        arms=[PATIENT],
        load=SqlWriters(rate_per_s=200),
        strikes=[
            Strike(Partition(away_from=("clients",)), target=named("postgres1"), at_s=at_s, for_s=for_s)
            for at_s, for_s in zip((0, 6), lengths, strict=True)
        ],
        objectives=[worst(outage_s) < 5],
        repeats=1,
    )
    result, folder = lab_run(scenario)
    found = outages(result)
    assert len(found) == 2, reasons(result)
    for sample, (low_s, high_s) in zip(found, spans(folder), strict=True):
        assert low_s - 0.020 <= sample["value"] <= high_s + 1.1, (sample, low_s, high_s)
    steps = {step.name for waterfall in result.trials[-1].waterfalls for step in waterfall.steps}
    assert "client: TCP retransmission" in steps


def test_an_application_that_acknowledges_before_the_commit_loses_writes(lab_run: LabRun) -> None:
    """The planted lie comes out; beside it, through the same crash, the honest application loses nothing."""
    routes = [MultiHost(name="honest"), MultiHost(name="liar", acknowledge="statement")]
    scenario = Scenario(
        arms=[Arm("sync", Postgres(standbys=2, replication="sync"), Controller(), routes=routes)],
        load=SqlWriters(rate_per_s=200),
        strikes=[Strike(Crash(), target=leader("postgres"))],
        objectives=[total(lost_writes) <= 0],
        repeats=1,
    )
    result, _ = lab_run(scenario)
    lost = {sample["route"]: sample["value"] for sample in samples(result, "lost_writes")}
    assert set(lost) == {"honest", "liar"}, reasons(result)
    assert lost["honest"] == 0
    assert lost["liar"] > 0
    assert result.answer == "no"
    assert "acknowledged" in result.sentence


def test_a_crash_is_over_within_the_bound_and_the_waterfall_adds_up(lab_run: LabRun) -> None:
    """Steps add up to the outage; the promotion lies within 20 ms of the server's own log."""
    scenario = Scenario(
        arms=[Arm("async", Postgres(standbys=2), Controller(), routes=[MultiHost()])],
        load=SqlWriters(rate_per_s=200),
        strikes=[Strike(Crash(), target=leader("postgres"))],
        objectives=[worst(outage_s) <= bound()],
        repeats=2,
    )
    result, folder = lab_run(scenario)
    assert result.answer == "yes", (result.sentence, reasons(result))
    for trial in result.trials:
        for waterfall in trial.waterfalls:
            assert sum(step.lasts_s for step in waterfall.steps) == pytest.approx(waterfall.outage_s, abs=1e-6)
    for events in trials_of(folder):
        promoted = [e for e in events if e["kind"] == "database.state" and e["state"] == "primary"][-1]
        ready = [
            e["wall_ns"] - e["wall_less_t_ns"]
            for e in events
            if e["kind"] == "server.log" and e["node"] == promoted["node"] and "ready to accept" in e["text"]
        ]
        assert min(abs(t_ns - promoted["before_ns"]) / 1e9 for t_ns in ready) <= 0.020


def test_a_postmaster_that_patroni_restarts_is_no_failover(lab_run: LabRun) -> None:
    """The report says "restart in place", and how long that took."""
    arm = Arm(
        "patroni",
        Postgres(standbys=2),
        ZooKeeper(servers=1, session_timeout_s=4, tick_s=0.2),
        Patroni(session_s=4),
        routes=[MultiHost()],
    )
    scenario = Scenario(
        arms=[arm],
        load=SqlWriters(rate_per_s=100),
        strikes=[Strike(PostmasterCrash(), target=leader("postgres"))],
        objectives=[worst(outage_s) < 10, total(lost_writes) <= 0],
        repeats=1,
    )
    result, _ = lab_run(scenario)
    assert result.answer == "yes", (result.sentence, reasons(result))
    trial = next(trial for trial in result.trials if trial.valid == "yes")
    (waterfall,) = trial.waterfalls
    assert (waterfall.kind, waterfall.served_before, waterfall.served_after) == ("restart in place", *["postgres1"] * 2)
    assert "restart in place" in [step.name for step in waterfall.steps]
    assert any("restarted in place" in sentence for sentence in trial.sentences)


def test_a_link_of_100_ms_delays_by_100_ms_and_a_lost_site_loses_what_was_on_it(lab_run: LabRun) -> None:
    """The lag is measured at the standbys to 5 %; what was under way when the site died is lost, and said to be."""
    scenario = Scenario(
        arms=[Arm("async", Postgres(standbys=2, lag_ms=100), Controller(), routes=[MultiHost(deadline_s=1)])],
        load=SqlWriters(rate_per_s=100),
        strikes=[Strike(SiteLoss(), target=leader("postgres"))],
        objectives=[total(lost_writes) <= 0],
        repeats=1,
    )
    result, folder = lab_run(scenario)
    assert result.answer == "no", (result.sentence, reasons(result))
    lags = [e.fields for name in folder.trials() for e in folder.history(name).of("replication.lag")]
    assert {lag["node"] for lag in lags} == {"postgres2", "postgres3"}
    assert all(min(lag["lags_s"]) >= 0.095 and lag["median_s"] <= 0.105 for lag in lags), lags
    (lost,) = samples(result, "lost_writes")
    assert 3 <= lost["value"] <= 20, "about 0.1 s of 100 writes a second"
    assert "postgres1 acknowledged" in lost["why"] and "without having received" in lost["why"]
