"""How outages and losses of writes are worded, the same in the terminal and on the page. Nothing is decided here.

Nothing lost is a finding and says of how many: "0 of 41,230". What no valid trial could tell is "unknown".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from lab.report import words
from lab.result import Account, Estimate, LossResult, Result, RouteResult, StepMean, TrialResult, Waterfall

STEPS = (
    "detection",
    "fencing",
    "promotion",
    "writable",
    "restart in place",
    "until healed",
    "publication",
    "propagation",
    "client",
    "client: TCP retransmission",
)
"""In the order of time; a step that this lab does not know stands where its waterfall has it."""


_FAULTS = {"crash_postmaster": "crash of only the postmaster", "crash_manager": "crash of only the manager"}


def fault(name: str) -> str:
    """ "power loss", "crash of only the manager"."""
    return _FAULTS.get(name, name.replace("_", " "))


def faults(result: Result) -> list[tuple[str, list[RouteResult]]]:
    """What was done, and the routes it was done to: each fault has its own tables and its own axis."""
    names = dict.fromkeys(route.fault for route in result.routes)
    return [(name, [route for route in result.routes if route.fault == name]) for name in names]


def title(name: str) -> str:
    """ "outage after a crash: no write was acknowledged in time"."""
    of = f" after {'an' if name[0] in 'aeiou' else 'a'} {fault(name)}" if name else ""
    return f"outage{of}: no write was acknowledged in time"


def short(said: str) -> str:
    """ "outage after a crash"."""
    return said.partition(":")[0]


def steps(routes: list[RouteResult]) -> list[str]:
    """The names of all their steps in the order of time."""
    return in_order(list(dict.fromkeys(step.name for route in routes for step in route.steps)))


def in_order(names: list[str]) -> list[str]:
    """Steps in the order of time."""
    known = [name for name in STEPS if name in names]
    return known + [name for name in names if name not in STEPS]


def mean(estimate: Estimate) -> str:
    """ "1.03 s [0.98, 1.08]"; ">= 1.03 s" without an interval where some went on when their window closed."""
    if estimate.mean is not None and estimate.censored:
        return f">= {words.number(estimate.mean, estimate.unit)}"
    return words.mean(estimate)


def waterfalls(result: Result, of: RouteResult) -> list[tuple[TrialResult, list[Waterfall]]]:
    """The valid trials behind it in the order of repeats, each with its waterfalls of this route and fault."""
    trials = sorted(words.valid_trials(result, of.arm), key=lambda trial: trial.repeat)
    found = [
        (trial, [one for one in trial.waterfalls if (one.route, one.fault) == (of.route, of.fault)]) for trial in trials
    ]
    return [pair for pair in found if pair[1]]


def each(result: Result, of: RouteResult) -> str:
    """Every trial's outage, in the order of repeats, ">=" where it went on when its window closed."""
    values, trials = of.outage.each, waterfalls(result, of)
    censored = [any(one.censored for one in those) for _, those in trials]
    if len(censored) != len(values):
        return words.each(of.outage)
    said = [words.bare(value, "s", of.outage.mean) for value in values]
    return " ".join(f">={value}" if open_ else value for value, open_ in zip(said, censored, strict=True)) or words.NONE


def first_failure(of: RouteResult) -> str:
    """Seconds from the strike to the first write that failed; "no write failed"; "unknown" of no trial."""
    if of.first_failure_s is not None:
        return words.number(of.first_failure_s, "s")
    return "none failed" if of.outage.n else words.UNKNOWN


def most(value_s: float | None, high_s: float | None) -> str:
    """What was measured beside what is allowed at most: "0.99 of 1.25 s"."""
    return (
        words.number(value_s, "s") if high_s is None else f"{words.bare(value_s, 's')} of {words.number(high_s, 's')}"
    )


def promise(step: StepMean) -> str:
    """ "0.25 to 1.25 s": what the settings promise for a step."""
    if step.high_s is None:
        return words.NONE
    if step.low_s == step.high_s:
        return words.number(step.high_s, "s")
    return f"{words.bare(step.low_s, 's') if step.low_s else '0'} to {words.number(step.high_s, 's')}"


def promised(result: Result, of: RouteResult) -> list[StepMean]:
    """Every step that the settings promise, also those that came to nothing; [] where they promise none."""
    arm = next((arm for arm in result.arms if arm.arm == of.arm), None)
    by_route = (arm.bounds.get(of.fault) or {}) if arm else {}
    phases = (by_route.get(of.route) or {}).get("phases") or []
    measured = {step.name: step for step in of.steps}
    made = []
    for phase in phases:
        step = measured.get(phase["name"]) or StepMean(phase["name"], 0.0, 0.0)
        moved_by = phase.get("moved_by") or step.moved_by
        made.append(replace(step, low_s=phase.get("low_s"), high_s=phase.get("high_s"), moved_by=moved_by))
    made = made or [step for step in of.steps if step.high_s is not None]
    total = sum(step.high_s or 0.0 for step in made)
    return made if of.bound_high_s is not None and abs(total - of.bound_high_s) < 0.01 else []


def kinds(result: Result, of: RouteResult) -> str:
    """What its trials were, unless each was a failover: "3 failover, 1 restart in place (trial 4)"."""
    if not of.kinds or set(of.kinds) == {"failover"}:
        return ""
    if len(of.kinds) == 1:
        kind, count = next(iter(of.kinds.items()))
        return f"{kind} in {'its only trial' if count == 1 else f'each of {count} trials'}"
    said = []
    for kind, count in sorted(of.kinds.items(), key=lambda item: (-item[1], item[0])):
        trials = [trial.trial for trial, those in waterfalls(result, of) if any(one.kind == kind for one in those)]
        where = f" ({_trials(trials)})" if kind != "failover" and trials else ""
        said.append(f"{count} {kind}{where}")
    return ", ".join(said)


def kinds_of(result: Result, routes: list[RouteResult]) -> list[str]:
    """The same for several routes, a line for all of which it is true."""
    said = {id(route): kinds(result, route) for route in routes}
    alike = {line: [route for route in routes if said[id(route)] == line] for line in dict.fromkeys(said.values())}
    return [f"{whose(those)}: {line}" for line, those in alike.items() if line]


def _trials(numbers: list[int]) -> str:
    return f"trial{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def resolution(routes: list[RouteResult]) -> str:
    """To what outages are known; "" where nothing is known of it."""
    known = sorted({route.resolution_s for route in routes if route.resolution_s})
    if not known:
        return ""
    said = " to ".join(words.number(value, "s") for value in dict.fromkeys((known[0], known[-1])))
    return f"Outages are good to {said}, the mean gap between two writes of a route."


def came_and_went(routes: list[RouteResult]) -> bool:
    """Whether writes were unavailable for another time than the outage lasted."""
    return any(
        abs((route.unavailable.mean or 0.0) - (route.outage.mean or 0.0)) > 2 * route.resolution_s for route in routes
    )


def largest(routes: list[RouteResult]) -> list[tuple[str, list[RouteResult]]]:
    """The largest step with the setting that moves it, and the routes whose it is."""
    names = dict.fromkeys(route.largest for route in routes if route.largest)
    return [(name, [route for route in routes if route.largest == name]) for name in names]


def acknowledged(account: Account) -> int:
    """All that a client was told is done."""
    return account.kept.get("writes", 0) + account.lost.get("writes", 0)


def lost(of: LossResult) -> str:
    """ "21 of 16,412", "0 of 41,230"; "unknown" where nothing was acknowledged that could be lost."""
    if not of.trials or not acknowledged(of.account):
        return words.UNKNOWN
    return f"{words.count(of.account.lost.get('writes', 0))} of {words.count(acknowledged(of.account))}"


def counted(of: LossResult, value: int) -> str:
    """A count over its valid trials; "unknown" where there was none."""
    return words.count(value) if of.trials else words.UNKNOWN


def classes(of: LossResult) -> tuple[int, ...]:
    """All writes; acknowledged and kept, and lost; not acknowledged but kept, and absent; written twice."""
    account = of.account
    return (
        account.writes,
        account.kept.get("writes", 0),
        account.lost.get("writes", 0),
        account.unacknowledged_kept,
        account.unacknowledged_absent.get("writes", 0),
        account.duplicated,
    )


def lost_each(of: LossResult) -> str:
    """Rows lost, every trial."""
    return " ".join(map(words.count, of.lost_each)) or (words.NONE if of.trials else words.UNKNOWN)


def rpo_s(of: LossResult) -> str:
    """The most seconds of acknowledged writes that one trial lost."""
    return words.number(of.lost_s_worst, "s") if of.trials else words.UNKNOWN


def rpo_bytes(of: LossResult) -> str:
    """The most WAL that one trial lost."""
    return words.size(of.lost_wal_bytes_worst) if of.trials else words.UNKNOWN


def splits(result: Result) -> list[LossResult]:
    """Those in which somebody acknowledged beside the promoted primary."""
    return [of for of in result.losses if any(of.split_brain_each)]


def split_each(of: LossResult) -> str:
    """How many a losing primary acknowledged, every trial; "-" where nobody was promoted."""
    return " ".join(map(words.count, of.split_brain_each)) or (words.NONE if of.trials else words.UNKNOWN)


def by_node(of: LossResult) -> str:
    """ "postgres1 57, postgres2 812": who acknowledged after the promotion."""
    return ", ".join(f"{node} {words.count(count)}" for node, count in of.split_brain_by_node.items()) or words.NONE


def no_split(result: Result) -> str:
    """The sentence about those without a split brain: a zero is a finding; "" where there is none of them."""
    clean = [of for of in result.losses if of.trials and of.split_brain_each and not any(of.split_brain_each)]
    if not clean:
        return ""
    of = "" if len(clean) == len(result.losses) else f" of {whose(clean)}"
    trials = {of.arm: len(of.split_brain_each) for of in clean}
    return f"No write{of} was acknowledged by a losing primary: 0 in {words.plural(sum(trials.values()), 'trial')}."


def whose(losses: Sequence[LossResult | RouteResult]) -> str:
    """ "async (multi_host, dns), sync (multi_host)"."""
    return ", ".join(
        f"{arm} ({', '.join(of.route for of in those)})" for arm, those in groupby(losses, key=lambda of: of.arm)
    )


def rejoined(result: Result) -> list[str]:
    """How long until every standby streamed again, a sentence an arm: its routes share their trials."""
    found = {of.arm: of.rejoin for of in reversed(result.losses) if of.rejoin is not None}
    return [
        f"{arm.arm}: every standby streams again {mean(of)} after the heal, worst seen {words.worst(of)}."
        for arm in result.arms
        if (of := found.get(arm.arm)) is not None
    ]


def sentences(result: Result) -> Iterator[tuple[TrialResult, str]]:
    """What happened in the trials that count, a sentence each, in their order."""
    counting = [trial for arm in result.arms for trial in words.valid_trials(result, arm.arm)]
    for trial in sorted(counting, key=lambda trial: trial.trial):
        yield from ((trial, sentence) for sentence in trial.sentences)


def few(result: Result, at_most: int) -> tuple[list[tuple[TrialResult, str]], int]:
    """At most so many sentences, every arm having its turn, in the order of trials; and how many are left out."""
    pairs, turns = list(sentences(result)), Counter[str]()
    ranked = []
    for index, (trial, _) in enumerate(pairs):
        ranked.append((turns[trial.arm], index))
        turns[trial.arm] += 1
    kept = sorted(index for _, index in sorted(ranked)[:at_most])
    return [pairs[index] for index in kept], len(pairs) - len(kept)
