"""What judging a run comes to: plain values, JSON both ways (result.json). Reports show these and decide nothing.

Seconds, counts and shares only; every instant is relative to the trial's first strike (`t0`), in seconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

SCHEMA = 1


@dataclass(slots=True)
class Estimate:
    """A mean over trials with its interval; the unit of n is the trial. No interval below 3 trials."""

    mean: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    each: list[float] = field(default_factory=list)
    """Each valid trial's mean, in the order of repeats."""
    worst: float | None = None
    """Worst single value seen."""
    worst_censored: bool = False
    """The worst value was still going on when its window closed: read it as ">= worst"."""
    samples: int = 0
    changes: int = 0
    censored: int = 0
    worst_where: str = ""
    """Trial, change and client of the worst value, for people."""
    evidence: list[list[Any]] = field(default_factory=list)
    """[trial, writer, seq] of the events behind the worst value."""
    note: str = ""
    """E.g. why there is no interval."""


@dataclass(slots=True)
class PhaseMean:
    """Mean seconds of one phase (they add up to the mean), beside what the settings promise."""

    name: str
    mean_s: float | None
    low_s: float | None = None
    high_s: float | None = None
    moved_by: str = ""


@dataclass(slots=True)
class ChangeResult:
    """One change of one trial: what happened to whom and what it came to."""

    change: str
    kind: str
    """The fault's name, or "return" / "leaving"."""
    node: str
    at_s: float
    """The instant (middle of its interval)."""
    width_s: float
    commanded_s: float | None = None
    effective_s: float | None = None
    healed_s: float | None = None
    phase_planned: float | None = None
    phase_achieved: float | None = None
    bound_low_s: float | None = None
    bound_high_s: float | None = None
    """Without the allowance."""
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    """measure -> {mean, worst, n, censored}"""
    route: str = ""
    """Of writes: the route; there is then one of these for every strike and route."""


@dataclass(slots=True)
class Step:
    """One step of a waterfall: it ends at `at_s` and lasted `lasts_s`. Steps add up to the waterfall's outage."""

    name: str
    """"detection", "fencing", "promotion", "writable", "publication", "propagation", "client",
    "client: TCP retransmission", "restart in place"."""
    at_s: float
    """Since t0."""
    lasts_s: float
    low_s: float | None = None
    high_s: float | None = None
    """What the settings promise for it."""
    moved_by: str = ""


@dataclass(slots=True)
class Waterfall:
    """One strike as one route's clients met it: from the first failure to the first acknowledged write."""

    change: str
    """"1:postgres1@multi_host"."""
    route: str
    fault: str
    node: str
    struck_s: float
    """Since t0."""
    first_failure_s: float | None
    """Since t0; None: no write was unavailable, there was no outage."""
    outage_s: float
    censored: bool
    resolution_s: float
    """One over the rate of the route."""
    steps: list[Step] = field(default_factory=list)
    bound_low_s: float | None = None
    bound_high_s: float | None = None
    """Without the allowance."""
    served_before: str = ""
    served_after: str = ""
    """Which server acknowledged before and after."""
    kind: str = "failover"
    """"failover", "restart in place", "no failover", "switchover"."""
    evidence: list[list[Any]] = field(default_factory=list)


@dataclass(slots=True)
class Account:
    """What became of one route's writes in one trial. The five classes, each with how many somebody read before they
    were gone; `warned` are those of a class that were acknowledged with a warning."""

    route: str
    writes: int
    kept: dict[str, int] = field(default_factory=dict)
    """Acknowledged and on the surviving timeline: {"writes", "warned"}."""
    lost: dict[str, int] = field(default_factory=dict)
    """Acknowledged and not there: {"writes", "warned", "read_then_gone"}."""
    unacknowledged_kept: int = 0
    unacknowledged_absent: dict[str, int] = field(default_factory=dict)
    """{"writes", "read_then_gone", "only_on_loser"}."""
    duplicated: int = 0
    lost_first_s: float | None = None
    lost_last_s: float | None = None
    """Acknowledgement of the first and the last lost write, since t0."""
    lost_before_promotion: int = 0
    lost_after_promotion: int = 0
    diverged: int = 0
    """Rows of this route that only the losing server has."""
    survivor: str = ""
    loser: str = ""
    source: str = ""
    """Where the loser's rows are known from: "read before it was rewound", "from acknowledgements only", ""."""


@dataclass(slots=True)
class Lane:
    """One database server over a trial."""

    node: str
    acknowledged: list[list[float]] = field(default_factory=list)
    """[[second since t0, acknowledgements in it], ...]."""
    spans: list[list[Any]] = field(default_factory=list)
    """[[from_s, to_s, state, timeline], ...]: "primary", "read_only", "standby", "down"."""
    marks: list[list[Any]] = field(default_factory=list)
    """[[at_s, "crash" | "healed" | "detected" | "fenced" | "promoted" | "lease over" | ...], ...]."""


@dataclass(slots=True)
class TrialResult:
    """One trial, judged."""

    trial: int
    arm: str
    repeat: int
    valid: str
    """"yes" or "unknown"."""
    reasons: list[str] = field(default_factory=list)
    """Why it is unknown, a sentence each."""
    changes: list[ChangeResult] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    """lab.verdict.Sample as JSON."""
    means: dict[str, float] = field(default_factory=dict)
    """measure -> this trial's mean (counts: per change)."""
    curves: dict[str, list[list[float]]] = field(default_factory=dict)
    """measure -> [[seconds since the change, share of (client, change) pairs right from then on], ...], steps."""
    figures: dict[str, Any] = field(default_factory=dict)
    """Lab lag, achieved rate, exposure, torn lines, ... units in the names."""
    phases_s: dict[str, list[float]] = field(default_factory=dict)
    """Engine phase -> [start, end] relative to t0."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Engine phase -> duration."""
    waterfalls: list[Waterfall] = field(default_factory=list)
    """Of writes: one for every strike and route, in order."""
    accounts: list[Account] = field(default_factory=list)
    """Of writes: one for every route."""
    lanes: list[Lane] = field(default_factory=list)
    """Of writes: one for every database server."""
    sentences: list[str] = field(default_factory=list)
    """Of writes: what happened, a sentence each with times: what was lost and why, who acknowledged beside whom,
    a restart in place instead of a failover."""


@dataclass(slots=True)
class ArmResult:
    """One arm over its valid trials."""

    arm: str
    trials: int
    valid_trials: int
    measures: dict[str, Estimate] = field(default_factory=dict)
    bounds: dict[str, dict[str, Any]] = field(default_factory=dict)
    """change -> {low_s, high_s, phases: [...]} from the settings."""
    allowance_s: float = 0.1
    """max(0.1 s, 3 x lab lag p99), added to every bound."""
    phases: dict[str, list[PhaseMean]] = field(default_factory=dict)
    """measure -> where its mean goes."""
    most: str = ""
    """The phase that takes most of the mean and the setting that moves it: "client cache, moved by ttl_s (5)"."""
    outside: list[str] = field(default_factory=list)
    """Sentences: which samples lie outside their bound, in which phase, moved by which setting."""
    phases_covered: str = ""
    """"4 of 4": quarters of the beat in which a strike fell."""
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class StepMean:
    """One step of an arm's and route's waterfall over its valid trials."""

    name: str
    mean_s: float
    worst_s: float
    each: list[float] = field(default_factory=list)
    low_s: float | None = None
    high_s: float | None = None
    moved_by: str = ""


@dataclass(slots=True)
class RouteResult:
    """One route of one arm for one fault, over its valid trials. The waterfall's means add up to the outage's mean."""

    arm: str
    route: str
    fault: str
    outage: Estimate
    unavailable: Estimate
    first_failure_s: float | None = None
    """From the strike, mean."""
    steps: list[StepMean] = field(default_factory=list)
    bound_low_s: float | None = None
    bound_high_s: float | None = None
    allowance_s: float = 0.1
    largest: str = ""
    """"detection, moved by ttl_s (20)"."""
    resolution_s: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    """{"failover": 4}: what the trials were."""


@dataclass(slots=True)
class LossResult:
    """One route of one arm: its accounts added up over its valid trials, and the RPO."""

    arm: str
    route: str
    trials: int
    account: Account
    lost_each: list[int] = field(default_factory=list)
    lost_s_worst: float = 0.0
    lost_wal_bytes_worst: int = 0
    split_brain_each: list[int] = field(default_factory=list)
    split_brain_s_worst: float = 0.0
    split_brain_by_node: dict[str, int] = field(default_factory=dict)
    """Over all trials: acknowledgements after the promotion, by every server, the new primary's too."""
    rejoin: Estimate | None = None


@dataclass(slots=True)
class Difference:
    """A paired difference of two arms in one measure (first - second), per repeat."""

    measure: str
    first: str
    second: str
    estimate: Estimate
    pairs: int
    words: str
    """The verdict in words: "zookeeper is faster here.", "The difference is not settled at 4 repeats: ...". """


@dataclass(slots=True)
class ObjectiveResult:
    """One objective in one arm (or between two)."""

    objective: str
    """As written: "worst(dead_but_listed_s) <= bound()"."""
    arm: str
    """The arm, or "" for a comparison of two."""
    answer: str
    """yes, no, unknown."""
    sentence: str
    """What, where, when, by which evidence; and which setting moves it, or what would settle it."""
    expected: str = "yes"
    evidence: list[list[Any]] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """A whole run, judged."""

    scenario: str
    claim: str
    seed: str
    repeats: int
    answer: str
    """yes, no, unknown: the worst of the objectives."""
    sentence: str
    exit_code: int
    arms: list[ArmResult] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    objectives: list[ObjectiveResult] = field(default_factory=list)
    trials: list[TrialResult] = field(default_factory=list)
    planned_trials: int = 0
    valid_trials: int = 0
    lab_lag_p99_ms: float | None = None
    partial: bool = False
    """The run was cut short: fewer trials than planned."""
    demonstration: bool = False
    reproduce: str = ""
    """The exact command."""
    versions: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    routes: list[RouteResult] = field(default_factory=list)
    """Of writes: outages, one for every arm, route and fault; empty in a run about views."""
    losses: list[LossResult] = field(default_factory=list)
    """Of writes: what was lost, one for every arm and route."""
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        """The value back from its JSON. Raises ValueError when it was written by a newer lab."""
        if data.get("schema", 0) > SCHEMA:
            raise ValueError(f"written by a newer lab (schema {data['schema']}); read it with that one")
        made: Result = _build(cls, data)
        return made


_NESTED: dict[tuple[str, str], Any] = {
    ("Result", "arms"): ArmResult,
    ("Result", "differences"): Difference,
    ("Result", "objectives"): ObjectiveResult,
    ("Result", "trials"): TrialResult,
    ("TrialResult", "changes"): ChangeResult,
    ("ArmResult", "measures"): Estimate,
    ("ArmResult", "phases"): PhaseMean,
    ("Difference", "estimate"): Estimate,
    ("Result", "routes"): RouteResult,
    ("Result", "losses"): LossResult,
    ("RouteResult", "outage"): Estimate,
    ("RouteResult", "unavailable"): Estimate,
    ("RouteResult", "steps"): StepMean,
    ("LossResult", "account"): Account,
    ("LossResult", "rejoin"): Estimate,
    ("TrialResult", "waterfalls"): Waterfall,
    ("TrialResult", "accounts"): Account,
    ("TrialResult", "lanes"): Lane,
    ("Waterfall", "steps"): Step,
}


_SINGLE = {
    ("Difference", "estimate"),
    ("RouteResult", "outage"),
    ("RouteResult", "unavailable"),
    ("LossResult", "account"),
    ("LossResult", "rejoin"),
}
"""Those that hold one such value; the others hold a list, or one for every name."""


def _build(kind: Any, data: dict[str, Any]) -> Any:
    known = {item.name for item in fields(kind)}
    values = {name: _nested(kind, name, value) for name, value in data.items() if name in known}
    return kind(**values)


def _nested(kind: Any, name: str, value: Any) -> Any:
    inner = _NESTED.get((kind.__name__, name))
    if inner is None or value is None:
        return value
    if isinstance(value, list):
        return [_build(inner, item) for item in value]
    if (kind.__name__, name) in _SINGLE:
        return _build(inner, value)
    return {
        key: _nested(kind, name, item) if isinstance(item, list) else _build(inner, item) for key, item in value.items()
    }
