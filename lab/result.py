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
}


def _build(kind: Any, data: dict[str, Any]) -> Any:
    known = {item.name for item in fields(kind)}
    values = {name: _nested(kind, name, value) for name, value in data.items() if name in known}
    return kind(**values)


def _nested(kind: Any, name: str, value: Any) -> Any:
    inner = _NESTED.get((kind.__name__, name))
    if inner is None:
        return value
    if isinstance(value, list):
        return [_build(inner, item) for item in value]
    if inner is Estimate and "mean" in value and "n" in value:
        return _build(inner, value)
    return {
        key: _nested(kind, name, item) if isinstance(item, list) else _build(inner, item) for key, item in value.items()
    }
