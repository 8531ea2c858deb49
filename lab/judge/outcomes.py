"""What an arm's trials about writes come to: outages by route and fault with their waterfalls, and what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from lab.checkers.waterfall import CLIENT, HEALED, ORDER, RESTART, RETRANSMISSION
from lab.judge.arms import Seen, estimate_from, seen_in
from lab.measures import (
    Measure,
    lost_s,
    lost_writes,
    outage_s,
    rejoin_s,
    split_brain_writes,
    unavailable_s,
)
from lab.result import Account, ArmResult, Estimate, LossResult, RouteResult, StepMean, TrialResult, Waterfall

_STEPS = (*ORDER[:4], RESTART, HEALED, *ORDER[4:], CLIENT, RETRANSMISSION)
"""In the order in which reports show them."""


def route_results(arm: ArmResult, valid: Sequence[TrialResult]) -> Iterator[RouteResult]:
    """One for every route and fault that was measured, in the order of the trials."""
    keys = dict.fromkeys((fall.fault, fall.route) for trial in valid for fall in trial.waterfalls)
    for fault, route in keys:
        of = [[f for f in trial.waterfalls if (f.fault, f.route) == (fault, route)] for trial in valid]
        yield _route(arm, fault, route, [(t, falls) for t, falls in zip(valid, of, strict=True) if falls])


def _route(
    arm: ArmResult, fault: str, route: str, of: Sequence[tuple[TrialResult, Sequence[Waterfall]]]
) -> RouteResult:
    everything = [fall for _, falls in of for fall in falls]
    trials = [(trial, frozenset(fall.change for fall in falls)) for trial, falls in of]
    failed = [f.first_failure_s - f.struck_s for f in everything if f.first_failure_s is not None]
    made = RouteResult(
        arm.arm,
        route,
        fault,
        _over_trials(outage_s, trials),
        _over_trials(unavailable_s, trials),
        first_failure_s=fmean(failed) if failed else None,
        steps=_steps([falls for _, falls in of]),
        bound_low_s=min((f.bound_low_s for f in everything if f.bound_low_s is not None), default=None),
        bound_high_s=max((f.bound_high_s for f in everything if f.bound_high_s is not None), default=None),
        allowance_s=arm.allowance_s,
        resolution_s=max(fall.resolution_s for fall in everything),
        kinds=dict(Counter(fall.kind for fall in everything)),
    )
    largest = max(made.steps, key=lambda step: step.mean_s, default=None)
    if largest is not None and largest.mean_s > 0:
        made.largest = f"{largest.name}, moved by {largest.moved_by}" if largest.moved_by else largest.name
    return made


def _over_trials(measure: Measure, trials: Sequence[tuple[TrialResult, frozenset[str]]]) -> Estimate:
    """The mean over trials of those changes' values."""
    found = [
        [seen for seen in seen_in(trial, measure.name) if seen.change is not None and seen.change.change in changes]
        for trial, changes in trials
    ]
    each = [fmean(seen.value for seen in of) for of in found if of]
    if not each:
        return Estimate(None, None, None, 0, measure.unit, note="nothing was measured")
    return estimate_from(measure, each, [seen for of in found for seen in of])


def _steps(trials: Sequence[Sequence[Waterfall]]) -> list[StepMean]:
    """Means that add up to the outage's mean: a trial without an outage spent no time in any step."""
    steps = [step for falls in trials for fall in falls for step in fall.steps]
    names = sorted(dict.fromkeys(step.name for step in steps), key=_place)
    made = []
    for name in names:
        own = [step for step in steps if step.name == name]
        each = [fmean(sum(s.lasts_s for s in fall.steps if s.name == name) for fall in falls) for falls in trials]
        made.append(
            StepMean(
                name,
                fmean(each),
                max(step.lasts_s for step in own),
                each,
                min((step.low_s for step in own if step.low_s is not None), default=None),
                max((step.high_s for step in own if step.high_s is not None), default=None),
                next((step.moved_by for step in own if step.moved_by), ""),
            )
        )
    return made


def _place(name: str) -> int:
    return _STEPS.index(name) if name in _STEPS else len(_STEPS)


def loss_results(arm: ArmResult, valid: Sequence[TrialResult]) -> Iterator[LossResult]:
    """One for every route with an account, in the order of the trials."""
    routes = dict.fromkeys(account.route for trial in valid for account in trial.accounts)
    rejoin = arm.measures.get(rejoin_s.name)
    for route in routes:
        accounts = [account for trial in valid for account in trial.accounts if account.route == route]
        by_node: Counter[str] = Counter()
        for trial in valid:
            by_node.update((trial.figures.get("acknowledged_after_promotion_by_route") or {}).get(route, {}))
        yield LossResult(
            arm.arm,
            route,
            len(accounts),
            _sum(route, accounts),
            lost_each=[int(seen.value) for seen in _of_route(lost_writes, valid, route)],
            lost_s_worst=_worst(_of_route(lost_s, valid, route)),
            lost_wal_bytes_worst=int(_most("lost_wal_bytes_by_route", valid, route)),
            split_brain_each=[int(seen.value) for seen in _of_route(split_brain_writes, valid, route)],
            split_brain_s_worst=_most("split_brain_s_by_route", valid, route),
            split_brain_by_node=dict(sorted(by_node.items())),
            rejoin=rejoin if rejoin is not None and rejoin.samples else None,
        )


def _of_route(measure: Measure, valid: Sequence[TrialResult], route: str) -> list[Seen]:
    return [seen for trial in valid for seen in seen_in(trial, measure.name) if seen.route == route]


def _most(figure: str, valid: Sequence[TrialResult], route: str) -> float:
    """The largest of a figure that a route has in every trial: what another route lost does not stand beside it."""
    return max((float((trial.figures.get(figure) or {}).get(route, 0.0)) for trial in valid), default=0.0)


def _worst(seen: Iterable[Seen]) -> float:
    return max((one.value for one in seen), default=0.0)


def _sum(route: str, accounts: Sequence[Account]) -> Account:
    """Accounts of several trials added up; names that differ stand beside each other."""
    total = Account(route, sum(account.writes for account in accounts))
    for name in ("kept", "lost", "unacknowledged_absent"):
        counts: Counter[str] = Counter()
        for account in accounts:
            counts.update(getattr(account, name))
        setattr(total, name, dict(counts))
    for name in ("unacknowledged_kept", "duplicated", "lost_before_promotion", "lost_after_promotion", "diverged"):
        setattr(total, name, sum(getattr(account, name) for account in accounts))
    for name in ("survivor", "loser", "source"):
        setattr(total, name, ", ".join(dict.fromkeys(v for account in accounts if (v := getattr(account, name)))))
    total.lost_first_s = min((a.lost_first_s for a in accounts if a.lost_first_s is not None), default=None)
    total.lost_last_s = max((a.lost_last_s for a in accounts if a.lost_last_s is not None), default=None)
    return total
