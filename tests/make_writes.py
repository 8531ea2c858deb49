"""Trials of writes to a database, made by hand, and what they come to; every number follows from a seed.

Whole results of such trials are in tests/make_failovers.py.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lab.result import (
    Account,
    ArmResult,
    ChangeResult,
    Estimate,
    Lane,
    LossResult,
    Result,
    RouteResult,
    Step,
    StepMean,
    TrialResult,
    Waterfall,
)

_T95 = {3: 4.303, 4: 3.182, 5: 2.776, 8: 2.365}
RATE_PER_S = 200
_Promise = tuple[str, float, float, str]
CONTROLLER: list[_Promise] = [
    ("detection", 0.5, 1.25, "failures (3)"),
    ("promotion", 0.02, 0.3, ""),
    ("writable", 0.0, 0.2, ""),
]
FENCED: list[_Promise] = [CONTROLLER[0], ("fencing", 0.01, 0.5, "fence (stop)"), *CONTROLLER[1:]]
PATRONI: list[_Promise] = [
    ("detection", 1.0, 5.1, "session_s (4)"),
    ("promotion", 0.02, 1.3, "loop_wait_s (1)"),
    ("writable", 0.0, 0.2, ""),
]
CLIENT: dict[str, list[_Promise]] = {
    "multi_host": [("client", 0.0, 0.1, "connect_timeout_s (2)")],
    "multi_host reconnecting": [("client", 0.0, 0.1, "connect_timeout_s (2)")],
    "dns": [
        ("publication", 0.0, 0.75, "check_interval_s (0.25)"),
        ("propagation", 0.0, 0.1, "notify_delay_s (0)"),
        ("client", 0.0, 3.0, "ttl_s (2)"),
    ],
    "zookeeper": [
        ("publication", 0.0, 0.75, "check_interval_s (0.25)"),
        ("propagation", 0.0, 0.05, ""),
        ("client", 0.0, 0.1, ""),
    ],
    "haproxy": [("publication", 0.0, 1.1, "check_interval_s (0.5)"), ("client", 0.0, 0.1, "")],
}


@dataclass(frozen=True)
class Kind:
    """What a made arm is like. `lost`: between how many acknowledged writes a trial loses."""

    arm: str
    routes: Sequence[str]
    promises: Sequence[_Promise] = tuple(CONTROLLER)
    lost: tuple[int, int] = (0, 0)
    split: tuple[int, int] = (0, 0)
    fault: str = "crash"
    settings: dict[str, object] = field(default_factory=dict)

    def of(self, route: str) -> list[_Promise]:
        """Every step of one route."""
        return [*self.promises, *CLIENT[route]]

    def bound(self, route: str) -> dict[str, object]:
        """What its settings promise, as in an arm's bounds."""
        names = ("name", "low_s", "high_s", "moved_by")
        low_s, high_s = (sum(promise[end] for promise in self.of(route)) for end in (1, 2))  # type: ignore[misc]
        phases = [dict(zip(names, promise, strict=True)) for promise in self.of(route)]
        return {"low_s": low_s, "high_s": high_s, "phases": phases}


def _steps(rng: random.Random, promises: Sequence[_Promise], start_s: float) -> list[Step]:
    at_s, steps = start_s, []
    for name, low_s, high_s, moved_by in promises:
        lasts_s = rng.uniform(low_s + (high_s - low_s) * 0.1, low_s + (high_s - low_s) * 0.7)
        at_s += lasts_s
        steps.append(Step(name, at_s, lasts_s, low_s, high_s, moved_by))
    return steps


def waterfall(rng: random.Random, kind: Kind, route: str, *, strike: int = 1, fault: str = "") -> Waterfall:
    """One strike at postgres1 as one route met it."""
    steps = _steps(rng, kind.of(route), first := rng.uniform(0.002, 0.012))
    low_s, high_s = (sum(promise[end] for promise in kind.of(route)) for end in (1, 2))  # type: ignore[misc]
    return Waterfall(
        f"{strike}:postgres1@{route}", route, fault or kind.fault, "postgres1", 0.0004, first, steps[-1].at_s - first,
        False, 1 / RATE_PER_S, steps, low_s, high_s, "postgres1", "postgres2", "failover",
        [["clients", 700 + strike], ["controller", 12]],
    )  # fmt: skip


def _lanes(rng: random.Random, one: Waterfall, split_s: float, heal_s: float, fenced: bool) -> list[Lane]:
    """postgres1 struck at 0, postgres2 promoted; with `split_s`, postgres1 goes on beside it so long."""
    ends = {step.name: step.at_s for step in one.steps}
    promoted, back = ends["promotion"], one.steps[-1].at_s
    down = "read_only" if split_s else "down"
    old_end = promoted + split_s if split_s else 0.0
    first, second, third = Lane("postgres1"), Lane("postgres2"), Lane("postgres3")
    for second_of in range(-5, int(heal_s) + 6):
        noise = rng.randint(-9, 9)
        if second_of < 0 or (split_s and second_of < old_end):
            share = 1.0 if second_of < 0 else 0.4
            first.acknowledged.append([second_of, round(RATE_PER_S * share) + noise])
        if second_of >= back:
            second.acknowledged.append([second_of, round(RATE_PER_S * (0.6 if second_of < old_end else 1)) + noise])
    end = heal_s + 5
    first.spans = [[-6, old_end, "primary", 1], [old_end, heal_s, down, 1], [heal_s + 0.8, end, "standby", 2]]
    second.spans = [[-6, promoted, "standby", 1], [promoted, ends["writable"], "read_only", 2]]
    second.spans.append([ends["writable"], end, "primary", 2])
    third.spans = [[-6, end, "standby", 1]]
    first.marks = [[0.0, one.fault], [heal_s, "healed"]]
    if fenced:
        first.marks.append([ends["fencing"], "fenced"])
    second.marks = [[promoted - 0.012, "chosen"], [promoted, "promoted"]]
    first.marks.append([ends["detection"], "detected"])
    return [first, second, third]


def _account(rng: random.Random, kind: Kind, route: str) -> Account:
    lost, absent = rng.randint(*kind.lost), rng.randint(3, 9)
    kept, twice = 3000 + rng.randint(0, 200), rng.randint(0, 2)
    account = Account(route, kept + lost + absent + 2)
    account.kept = {"writes": kept, "warned": 0}
    account.lost = {"writes": lost, "warned": lost // 3, "read_then_gone": lost // 4}
    account.unacknowledged_kept, account.duplicated = 2, twice
    account.unacknowledged_absent = {"writes": absent, "read_then_gone": 0, "only_on_loser": absent // 2}
    account.survivor, account.loser, account.diverged = "postgres2", "postgres1", lost + absent // 2
    account.source = "read before it was rewound"
    if lost:
        account.lost_first_s, account.lost_last_s, account.lost_before_promotion = -0.03, -0.002, lost
    return account


def trial(number: int, kind: Kind, repeat: int, faults: Sequence[str] = ()) -> TrialResult:
    """One trial, all of it."""
    rng = random.Random(f"{number}/{kind.arm}/{repeat}")
    made = TrialResult(number, kind.arm, repeat, "yes")
    split, heal_s = rng.randint(*kind.split), 9.0
    for strike, fault in enumerate(faults or [kind.fault], 1):
        shared = _steps(rng, kind.promises, 0.006)  # the server's steps are the same for every route
        for route in kind.routes:
            one = waterfall(rng, kind, route, strike=strike, fault=fault)
            assert one.first_failure_s is not None
            for own, common in zip(one.steps, shared, strict=False):
                own.lasts_s = common.lasts_s
            at_s = one.first_failure_s
            for step in one.steps:
                step.at_s = at_s = at_s + step.lasts_s
            one.outage_s = at_s - one.first_failure_s
            made.waterfalls.append(one)
            change = ChangeResult(one.change, fault, "postgres1", 0.0004, 0.0006, 0.0, 0.0004, heal_s, route=route)
            change.bound_low_s, change.bound_high_s = one.bound_low_s, one.bound_high_s
            change.values = {
                name: {"mean": one.outage_s, "worst": one.outage_s, "n": 1, "censored": 0}
                for name in ("outage_s", "unavailable_s")
            }
            made.changes.append(change)
            made.samples.append({"measure": "outage_s", "change": one.change, "value": one.outage_s, "route": route})
    made.accounts = [_account(rng, kind, route) for route in kind.routes]
    split_s = split / 60
    for route in kind.routes:
        made.samples.append({"measure": "split_brain_writes", "change": "", "value": float(split), "route": route})
    if split:
        made.samples.append({"measure": "split_brain_s", "change": "", "value": split_s, "route": ""})
    made.means = {
        "outage_s": statistics.mean(one.outage_s for one in made.waterfalls),
        "lost_writes": float(sum(account.lost["writes"] for account in made.accounts)),
        "split_brain_writes": float(split),
        "split_brain_s": split_s,
    }
    made.lanes = _lanes(rng, made.waterfalls[0], split_s, heal_s, "fencing" in dict(p[:2] for p in kind.promises))
    for account in made.accounts:
        if account.lost["writes"]:
            made.sentences.append(
                f"{account.lost['writes']} acknowledged writes of {account.route} are lost: postgres1 acknowledged "
                f"them from {account.lost_first_s:.3f} s to {account.lost_last_s:.3f} s, and postgres2, promoted at "
                f"{made.waterfalls[0].steps[1].at_s:.3f} s on timeline 2, had received nothing after 0/5012A40."
            )
    if split:
        made.sentences.append(
            f"postgres1 acknowledged {split} writes on timeline 1 for {split_s:.2f} s after postgres2 was promoted."
        )
    made.figures = {"lab_lag_p99_ms": 1.3, "rate_sent_per_s": 199.6, "stall_s": 0.0, "torn_lines": 0}
    made.phases_s = {"baseline": [-6.0, -1.2], "strike": [-1.2, 0.2], "hold": [0.2, heal_s], "heal": [heal_s, 9.4]}
    made.phases_s |= {"settle": [9.4, 13.2], "final": [13.2, 13.9]}
    return made


def estimate(values: Sequence[float], unit: str = "s", censored: int = 0) -> Estimate:
    """Over trials, as the judge makes it."""
    if not values:
        return Estimate(None, None, None, 0, unit, note="no valid trial")
    n, mean = len(values), statistics.mean(values)
    half = _T95[n] * statistics.stdev(values) / n**0.5 if n in _T95 else None
    low, high = (None, None) if half is None else (mean - half, mean + half)
    note = "" if half is not None else "no interval below 3 trials"
    made = Estimate(mean, low, high, n, unit, list(values), max(values), bool(censored), n, n, censored, note=note)
    made.worst_where = f"trial {values.index(max(values)) + 1}, crash of postgres1"
    return made


def route_result(kind: Kind, route: str, fault: str, trials: Sequence[TrialResult]) -> RouteResult:
    """One route of an arm over its valid trials."""
    own = [t for t in trials if t.arm == kind.arm and t.valid == "yes"]
    falls = [one for t in own for one in t.waterfalls if (one.route, one.fault) == (route, fault)]
    outage = estimate([one.outage_s for one in falls], censored=sum(one.censored for one in falls))
    made = RouteResult(kind.arm, route, fault, outage, replace(outage), resolution_s=1 / RATE_PER_S)
    if started := [one.first_failure_s for one in falls if one.first_failure_s is not None]:
        made.first_failure_s = statistics.mean(started)
    made.bound_low_s, made.bound_high_s = (sum(promise[end] for promise in kind.of(route)) for end in (1, 2))  # type: ignore[misc]
    for name in dict.fromkeys(step.name for one in falls for step in one.steps):
        of = [next((step for step in one.steps if step.name == name), None) for one in falls]
        each = [step.lasts_s if step else 0.0 for step in of]
        first = next(step for step in of if step)
        made.steps.append(
            StepMean(name, statistics.mean(each), max(each), each, first.low_s, first.high_s, first.moved_by)
        )
    if made.steps:
        most = max(made.steps, key=lambda step: step.mean_s)
        made.largest = f"{most.name}, moved by {most.moved_by}" if most.moved_by else most.name
    made.kinds = {kind: sum(one.kind == kind for one in falls) for kind in dict.fromkeys(one.kind for one in falls)}
    return made


def loss_result(kind: Kind, route: str, trials: Sequence[TrialResult]) -> LossResult:
    """One route's accounts, added up."""
    own = [t for t in trials if t.arm == kind.arm and t.valid == "yes"]
    accounts = [account for t in own for account in t.accounts if account.route == route]
    whole = Account(route, sum(account.writes for account in accounts))
    for name in ("kept", "lost", "unacknowledged_absent"):
        keys = dict.fromkeys(key for account in accounts for key in getattr(account, name))
        setattr(whole, name, {key: sum(getattr(account, name).get(key, 0) for account in accounts) for key in keys})
    for name in ("unacknowledged_kept", "duplicated", "diverged"):
        setattr(whole, name, sum(getattr(account, name) for account in accounts))
    made = LossResult(kind.arm, route, len(own), whole, [account.lost["writes"] for account in accounts])
    made.lost_s_worst = 0.028 if any(made.lost_each) else 0.0
    made.lost_wal_bytes_worst = 187 * max(made.lost_each, default=0)
    made.split_brain_each = [round(t.means["split_brain_writes"]) for t in own]
    made.split_brain_s_worst = max((t.means["split_brain_s"] for t in own), default=0.0)
    if any(made.split_brain_each):
        made.split_brain_by_node = {"postgres1": sum(made.split_brain_each), "postgres2": 4 * len(own) * RATE_PER_S}
    made.rejoin = estimate([1.1 + 0.07 * t.repeat for t in own]) if own else None
    return made


def whole(
    name: str, claim: str, kinds: Sequence[Kind], trials: list[TrialResult], repeats: int, **more: object
) -> Result:
    """A result from its trials; `more` are its other fields."""
    valid = [t for t in trials if t.valid == "yes"]
    arms = []
    for kind in kinds:
        own = [t for t in valid if t.arm == kind.arm]
        arm = ArmResult(kind.arm, sum(t.arm == kind.arm for t in trials), len(own), settings=dict(kind.settings))
        arm.bounds = {
            fault: {route: kind.bound(route) for route in kind.routes} for fault in (kind.fault, "power_loss")
        }
        arm.measures["outage_s"] = estimate([t.means["outage_s"] for t in own])
        arm.measures["lost_writes"] = estimate([t.means["lost_writes"] for t in own], "writes")
        arms.append(arm)
    faults = {
        kind.arm: list(dict.fromkeys(one.fault for t in trials if t.arm == kind.arm for one in t.waterfalls))
        for kind in kinds
    }
    made = Result(name, claim, "7", repeats, "yes", "The claim holds.", 0, arms, trials=trials)
    made.routes = [
        route_result(kind, route, fault, trials)
        for kind in kinds
        for fault in faults[kind.arm] or [kind.fault]
        for route in kind.routes
    ]
    made.losses = [loss_result(kind, route, trials) for kind in kinds for route in kind.routes]
    made.planned_trials, made.valid_trials, made.lab_lag_p99_ms = repeats * len(kinds), len(valid), 1.3
    made.reproduce = f"lab run {name} --seed 7 --repeats {repeats}"
    made.versions = {"lab": "0.1.0", "images": {"boring-lab/database": "5f0c9e1a2b3c (postgres 17.2)"}}
    return replace(made, **more)  # type: ignore[arg-type]
