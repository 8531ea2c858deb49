"""Results made by hand for tests and for looking at a report without an engine; every number follows from a seed.

`python tests/make_result.py FOLDER` writes every one of them as a page.
"""

from __future__ import annotations

import random
import statistics
import sys
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

from lab.result import ArmResult, ChangeResult, Difference, Estimate, ObjectiveResult, PhaseMean, Result, TrialResult
from lab.verdict import Sample

CLIENTS = 30
_T95 = {3: 4.303, 4: 3.182, 5: 2.776, 8: 2.365}
_PHASES = ("detection", "publication", "propagation", "client cache")
_SETTINGS = {
    "dns": {"ttl_s": 5, "check_interval_s": 1, "check_timeout_s": 0.3, "failures_to_remove": 2, "instances": 8},
    "zookeeper": {"session_timeout_s": 2, "tick_s": 0.5, "members": 3, "instances": 8},
}
_BOUNDS = {
    ("dns", "crash"): [
        PhaseMean("detection", None, 1.0, 2.3, "check_interval_s (1)"),
        PhaseMean("publication", None, 0.0, 0.01),
        PhaseMean("propagation", None, 0.0, 0.1, "notify_delay_s (0)"),
        PhaseMean("client cache", None, 0.0, 6.0, "ttl_s (5)"),
    ],
    ("dns", "return"): [
        PhaseMean("detection", None, 0.0, 1.3, "check_interval_s (1)"),
        PhaseMean("publication", None, 0.0, 0.01),
        PhaseMean("propagation", None, 0.0, 0.1, "notify_delay_s (0)"),
        PhaseMean("client cache", None, 0.0, 6.0, "ttl_s (5)"),
    ],
    ("zookeeper", "crash"): [
        PhaseMean("detection", None, 1.33, 2.75, "session_timeout_s (2)"),
        PhaseMean("propagation", None, 0.0, 0.05),
    ],
    ("zookeeper", "return"): [
        PhaseMean("detection", None, 0.0, 0.3, "register_s (0.3)"),
        PhaseMean("propagation", None, 0.0, 0.05),
    ],
}
_MEASURES = {"crash": "dead_but_listed_s", "return": "alive_but_missing_s"}


def _high(arm: str, kind: str) -> float:
    return sum(phase.high_s or 0 for phase in _BOUNDS[arm, kind])


def _phases_of(rng: random.Random, arm: str, kind: str, shared: float) -> dict[str, float]:
    if arm == "zookeeper":
        detection = rng.uniform(1.5, 2.35) if kind == "crash" else rng.uniform(0.05, 0.2)
        return {"detection": detection, "propagation": rng.uniform(0.004, 0.014)}
    detection = 1 + shared if kind == "crash" else shared
    return {"detection": detection, "publication": rng.uniform(0.002, 0.004), "propagation": rng.uniform(0.01, 0.025)}


def _samples(rng: random.Random, arm: str, kind: str, change: str, node: str) -> list[Sample]:
    base = _phases_of(rng, arm, kind, rng.random())
    left = rng.uniform(0.2, 5)  # what the resolver's copy still has to live: one for all clients of a change
    samples = []
    for client in range(CLIENTS):
        phases = {**base, "propagation": base["propagation"] + rng.uniform(0, 0.003)}
        if arm == "dns":
            phases["client cache"] = max(0.0, left + rng.uniform(-0.1, 0.9))
        cited = ((f"agent/{node}", 14), ("clients", 900 + client))
        value = sum(phases.values())
        samples.append(Sample(_MEASURES[kind], change, value, client, False, 0.0004, phases, cited))
    return samples


def _change(kind: str, node: str, at_s: float, strike: int, arm: str, samples: list[Sample]) -> ChangeResult:
    values = [sample.value for sample in samples]
    phase = (strike - 1) / 4 + 0.1
    change = ChangeResult(
        samples[0].change, kind, node, at_s, 0.0004, phase_planned=phase, phase_achieved=phase + 0.004
    )
    change.bound_low_s = sum(phase.low_s or 0 for phase in _BOUNDS[arm, kind])
    change.bound_high_s = _high(arm, kind)
    change.values[_MEASURES[kind]] = {
        "mean": statistics.mean(values), "worst": max(values), "n": len(values), "censored": 0
    }  # fmt: skip
    if kind == "crash":
        calls = round(statistics.mean(values) * 300 / 8 * 0.2)
        change.commanded_s, change.effective_s = at_s - 0.0004, at_s
        change.values["attempts_on_dead"] = {"mean": calls, "worst": calls, "n": 1, "censored": 0}
        change.values["requests_lost"] = {"mean": calls // 4, "worst": calls // 4, "n": 1, "censored": 0}
    return change


def _trial(number: int, arm: str, repeat: int, kinds: tuple[str, ...] = ("crash", "return")) -> TrialResult:
    rng = random.Random(f"{number}/{arm}/{repeat}")
    hold_end = 3.75 + _high(arm, "crash") * 0.9
    settle_end = hold_end + 1.2 + _high(arm, "return") * 0.8
    trial = TrialResult(number, arm, repeat, "yes")
    samples: list[Sample] = []
    for strike, number_of_node in enumerate(random.Random(repeat).sample(range(1, 9), 4), 1):
        node = f"backend{number_of_node}"
        for kind in kinds:
            crash = kind == "crash"
            at_s = (strike - 1) * 1.25 + 0.0004 if crash else hold_end + 0.3 + strike * 0.08
            of = _samples(rng, arm, kind, f"{strike if crash else 'return'}:{node}", node)
            samples += of
            trial.changes.append(_change(kind, node, at_s, strike, arm, of))
            if crash:
                trial.changes[-1].healed_s = hold_end + 0.08 * strike
    trial.changes.sort(key=lambda change: change.at_s)
    trial.samples = [asdict(sample) for sample in samples]
    trial.figures = {"lab_lag_p99_ms": 1.1, "rate_sent_per_s": 299.2, "stall_s": 0.0, "torn_lines": 0}
    starts = {
        "up": -14.0, "ready": -9.1, "baseline": -8.2, "strike": -2.2, "hold": 3.8, "heal": hold_end,
        "settle": hold_end + 0.7, "final": settle_end, "collect": settle_end + 0.1, "": settle_end + 0.4,
    }  # fmt: skip
    names = list(starts)
    trial.phases_s = {name: [starts[name], starts[after]] for name, after in pairwise(names)}
    trial.seconds = {name: end - start for name, (start, end) in trial.phases_s.items()}
    for name in dict.fromkeys(sample.measure for sample in samples):
        of = [sample for sample in samples if sample.measure == name]
        trial.means[name] = statistics.mean(sample.value for sample in of)
        trial.curves[name] = curve(of)
    for name in ("attempts_on_dead", "requests_lost"):
        counted = [change.values[name]["mean"] for change in trial.changes if name in change.values]
        if counted:
            trial.means[name] = statistics.mean(counted)
    return trial


def curve(samples: list[Sample]) -> list[list[float]]:
    """The share that is right from t on, as steps; a censored sample never becomes right."""
    values = sorted(sample.value for sample in samples if not sample.censored)
    return [[0.0, 0.0], *([round(value, 4), right / len(samples)] for right, value in enumerate(values, 1))]


def _estimate(values: list[float], unit: str, trials: list[TrialResult], name: str) -> Estimate:
    mean, n = statistics.mean(values), len(values)
    half = _T95[n] * statistics.stdev(values) / n**0.5 if n in _T95 else None
    low, high = (None, None) if half is None else (mean - half, mean + half)
    made = Estimate(mean, low, high, n, unit, values, note="" if half is not None else "no interval below 3 trials")
    of = [(trial, sample) for trial in trials for sample in trial.samples if sample["measure"] == name]
    if of:
        trial, sample = max(of, key=lambda pair: pair[1]["value"])
        made.worst, made.worst_censored = sample["value"], sample["censored"]
        made.worst_where = f"trial {trial.trial}, {sample['change']}, client {sample['client']}"
        made.evidence = [[trial.trial, *ref] for ref in sample["evidence"]]
        made.samples, made.censored = len(of), sum(sample["censored"] for _, sample in of)
        made.changes = len({(trial.trial, sample["change"]) for trial, sample in of})
    else:
        made.samples = made.changes = 4 * n
        made.worst = max(values)
    return made


def _arm(arm: str, trials: list[TrialResult]) -> ArmResult:
    own = [trial for trial in trials if trial.arm == arm]
    valid = [trial for trial in own if trial.valid == "yes"]
    made = ArmResult(arm, len(own), len(valid), settings=_SETTINGS[arm], phases_covered="4 of 4", allowance_s=0.1)
    for kind in ("crash", "return"):
        phases = _BOUNDS[arm, kind]
        made.bounds[kind] = {
            "low_s": sum(phase.low_s or 0 for phase in phases),
            "high_s": _high(arm, kind),
            "phases": [{"name": p.name, "low_s": p.low_s, "high_s": p.high_s, "moved_by": p.moved_by} for p in phases],
        }
        name = _MEASURES[kind]
        of = [sample for trial in valid for sample in trial.samples if sample["measure"] == name]
        if of:
            made.phases[name] = [
                replace(phase, mean_s=statistics.mean(sample["phases"].get(phase.name, 0.0) for sample in of))
                for phase in phases
            ]
    made.most = "client cache, moved by ttl_s (5)" if arm == "dns" else "detection, moved by session_timeout_s (2)"
    units = {
        "dead_but_listed_s": "s",
        "alive_but_missing_s": "s",
        "attempts_on_dead": "attempts",
        "requests_lost": "requests",
    }
    for name, unit in units.items():
        if values := [trial.means[name] for trial in valid if name in trial.means]:
            made.measures[name] = _estimate(values, unit, valid, name)
    return made


def _difference(name: str, arms: list[ArmResult], said: str) -> Difference:
    dns, zookeeper = (arm.measures[name] for arm in arms)
    values = [right - left for left, right in zip(dns.each, zookeeper.each, strict=True)]
    return Difference(name, "zookeeper", "dns", _estimate(values, dns.unit, [], ""), len(values), said)


def two_arms() -> Result:
    """DNS against ZooKeeper: 8 trials, 30 clients, 4 crashes a trial; the claim holds."""
    order = ["dns", "zookeeper", "zookeeper", "dns"] * 2
    trials = [_trial(number, arm, (number + 1) // 2) for number, arm in enumerate(order, 1)]
    arms = [_arm("dns", trials), _arm("zookeeper", trials)]
    inside = "Every sample of 480 lies inside the bound; the closest is {:.2f} s below it."
    return Result(
        scenario="backend_crash",
        claim="Clients of a crashed backend are right again within the bound of their mechanism, and sooner with "
        "ZooKeeper than with DNS.",
        seed="7",
        repeats=4,
        answer="yes",
        sentence="The claim holds: 3 of 3 objectives.",
        exit_code=0,
        arms=arms,
        differences=[
            _difference("dead_but_listed_s", arms, "zookeeper is faster here."),
            _difference("alive_but_missing_s", arms, "zookeeper is faster here."),
        ],
        objectives=[
            ObjectiveResult("worst(dead_but_listed_s) <= bound()", "dns", "yes", inside.format(1.02)),
            ObjectiveResult("worst(dead_but_listed_s) <= bound()", "zookeeper", "yes", inside.format(0.43)),
            ObjectiveResult(
                "difference(dead_but_listed_s, zookeeper, dns) < 0", "", "yes", "The whole interval lies below 0."
            ),
        ],
        trials=trials,
        planned_trials=8,
        valid_trials=8,
        lab_lag_p99_ms=1.1,
        reproduce="lab run backend_crash --seed 7 --repeats 4",
        versions={
            "lab": "0.1.0",
            "python": "3.11.2",
            "engine": "20.10.24",
            "kernel": "6.1.0",
            "cores": 2,
            "memory_gb": 7.8,
            "images": {
                "boring-lab/dns": "5f0c9e1a2b3c (bind 9.20.30, unbound 1.26.2)",
                "boring-lab/zookeeper": "0aa91be2cc01 (zookeeper 3.9.4)",
                "boring-lab/inside": "77de01f2a9b4",
            },
        },
        notes=["Load: open loop, Poisson arrivals, 300 requests/s from 30 clients; instances picked by the SRV rule."],
    )


def partial() -> Result:
    """Ctrl-C in the fifth trial: four are there, one arm has two trials, so there is no interval."""
    whole = two_arms()
    trials = whole.trials[:4]
    arms = [_arm("dns", trials), _arm("zookeeper", trials)]
    said = "The run was cut short after 4 of 8 trials; 2 pairs give no interval: run it again, whole."
    return replace(
        whole,
        arms=arms,
        trials=trials,
        valid_trials=4,
        partial=True,
        answer="unknown",
        exit_code=2,
        sentence=said,
        differences=[_difference("dead_but_listed_s", arms, "Not settled: 2 pairs give no interval.")],
        objectives=[
            replace(item, answer=item.answer if item.arm else "unknown", sentence=item.sentence if item.arm else said)
            for item in whole.objectives
        ],
    )


def refuted() -> Result:
    """A client that never noticed: two samples are censored above the bound, so the claim is refuted."""
    whole = two_arms()
    for trial in whole.trials:
        if trial.trial == 5:
            late = [s for s in trial.samples if s["change"] == "2:" + trial.changes[1].node and s["client"] in (11, 17)]
            for sample in late:
                sample.update(value=10.31, censored=True, phases={})
            name = "dead_but_listed_s"
            of = [sample for sample in trial.samples if sample["measure"] == name]
            trial.curves[name] = curve([Sample(**sample) for sample in of])
            trial.means[name] = statistics.mean(sample["value"] for sample in of)
            trial.changes[1].values[name].update(worst=10.31, censored=2)
    arms = [_arm("dns", whole.trials), _arm("zookeeper", whole.trials)]
    said = (
        "Trial 5, strike 2: backend5 was still listed by clients 11 and 17 when the window closed 10.31 s after the "
        "crash, 1.80 s above the bound of 8.41 + 0.10 s. Both views are older than the resolver's: client cache, "
        "moved by ttl_s (5)."
    )
    arms[0].outside = ["dns: 2 of 480 samples lie above the bound, in client cache, moved by ttl_s (5)."]
    objectives = [
        replace(whole.objectives[0], answer="no", sentence=said, evidence=[[5, "clients", 911]]),
        *whole.objectives[1:],
    ]
    return replace(
        whole,
        arms=arms,
        objectives=objectives,
        answer="no",
        exit_code=1,
        sentence="The claim does not hold: dns left its bound in 1 of 16 crashes (2 of 3 objectives hold).",
    )


def unknown() -> Result:
    """The planted lie: a fault without effect. One arm, one trial, not valid; nothing was measured."""
    reason = (
        "Strike 1 (crash backend3) did not take effect: its processes 17 and 18 are still there 0.5 s after the signal "
        "(missing: evidence that the server's processes are gone)."
    )
    trial = replace(_trial(1, "dns", 1), valid="unknown", reasons=[reason], samples=[], means={}, curves={})
    trial.changes = [replace(change, effective_s=None, healed_s=None, values={}) for change in trial.changes[:1]]
    arm = ArmResult("dns", 1, 0, settings=_SETTINGS["dns"])
    arm.bounds = _arm("dns", []).bounds
    arm.measures["dead_but_listed_s"] = Estimate(None, None, None, 0, "s", note="no valid trial")
    return Result(
        "fault_without_effect",
        "A fault that did nothing is never a pass.",
        "1",
        1,
        "unknown",
        f"Unknown: 0 of 1 trials are valid. {reason}",
        2,
        [arm],
        [],
        [ObjectiveResult("worst(dead_but_listed_s) <= bound()", "dns", "unknown", reason, expected="unknown")],
        [trial],
        planned_trials=1,
        valid_trials=0,
        demonstration=True,
        reproduce="lab run fault_without_effect --seed 1",
    )


def quiet() -> Result:
    """no_fault: nothing happens; what counts is counted over a trial."""
    trials = [_trial(number, "dns", number, kinds=()) for number in (1, 2, 3)]
    for trial in trials:
        trial.means = {"false_removals": 0.0, "wrong_view_s": 0.0}
        trial.figures["exposure_client_s"] = 903.2
    arm = ArmResult("dns", 3, 3, settings=_SETTINGS["dns"])
    for name, unit in (("false_removals", "removals"), ("wrong_view_s", "client-seconds")):
        arm.measures[name] = Estimate(0.0, 0.0, 0.0, 3, unit, [0.0, 0.0, 0.0], worst=0.0, samples=3)
    return Result(
        "no_fault",
        "Nothing happens: nobody is removed and no view is wrong.",
        "3",
        3,
        "yes",
        "The claim holds: 2 of 2 objectives, over 2709.6 client-seconds.",
        0,
        [arm],
        objectives=[
            ObjectiveResult("worst(false_removals) <= 0", "dns", "yes", "0 removals in 2709.6 client-seconds.")
        ],
        trials=trials,
        planned_trials=3,
        valid_trials=3,
        lab_lag_p99_ms=0.8,
        reproduce="lab run no_fault --seed 3",
    )


def empty() -> Result:
    """Stopped before the first trial ended: nothing at all."""
    return Result(
        "backend_crash", "", "7", 4, "unknown", "Unknown: no trial was finished.", 2, planned_trials=8, partial=True
    )


ALL = {made.__name__: made for made in (two_arms, partial, refuted, unknown, quiet, empty)}


if __name__ == "__main__":
    from lab.report import html, terminal

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in ALL.items():
        (folder / f"{name}.html").write_text(html.render(make()))
        (folder / f"{name}.txt").write_text(terminal.text(make(), report="reports/latest/report.html"))
