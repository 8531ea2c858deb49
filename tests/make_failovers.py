"""Results about writes, made by hand for tests and for looking at a report without an engine.

`python -m tests.make_failovers FOLDER` writes every one of them as a page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lab.result import ArmResult, Difference, ObjectiveResult, Result, Step, TrialResult
from tests.make_writes import FENCED, PATRONI, Kind, estimate, route_result, trial, whole

_ASYNC = Kind("async", ("multi_host", "dns"), lost=(2, 31), settings={"replication": "async", "failures": 3})
_SYNC = Kind("sync", ("multi_host", "dns"), settings={"replication": "sync", "failures": 3})
_OUTAGE, _LOST = "worst(outage_s) <= bound()", 'total(lost_writes, arm="sync") <= 0'


def crash() -> Result:
    """Two arms, two routes, four repeats: async loses some, sync nothing; the claim holds."""
    order = [_ASYNC, _SYNC, _SYNC, _ASYNC] * 2
    trials = [trial(number, kind, (number + 1) // 2) for number, kind in enumerate(order, 1)]
    made = whole(
        "primary_crash",
        "After a crash of the primary, writes come back within the bound; synchronous replication loses none of them.",
        [_ASYNC, _SYNC],
        trials,
        4,
        sentence="The claim holds: 3 of 3 objectives.",
        objectives=[
            ObjectiveResult(_OUTAGE, "async", "yes", "async: worst seen in 8 changes is inside the bound"),
            ObjectiveResult(_OUTAGE, "sync", "yes", "sync: worst seen in 8 changes is inside the bound"),
            ObjectiveResult(_LOST, "sync", "yes", "sync: 0 writes in 4 trials, asked was <= 0"),
        ],
        notes=["Load: open loop, Poisson arrivals, 200 writes/s on each of 2 routes."],
    )
    values = [right - left for left, right in zip(*(arm.measures["outage_s"].each for arm in made.arms), strict=True)]
    made.differences = [Difference("outage_s", "sync", "async", estimate(values), 4, "The difference is not settled.")]
    return made


def split_brain() -> Result:
    """Cut from the standbys only: the unfenced arm acknowledges on both sides. A demonstration."""
    route = ("multi_host reconnecting",)
    open_ = Kind("unfenced", route, lost=(40, 90), split=(90, 160), fault="partition", settings={"fence": "none"})
    fenced = Kind("fenced", route, FENCED, fault="partition", settings={"fence": "stop"})
    trials = [trial(number, kind, (number + 1) // 2) for number, kind in enumerate([open_, fenced, fenced, open_], 1)]
    asked = "worst(split_brain_writes) <= 0"
    said = "unfenced: acknowledged by a losing primary 144 writes (trial 1, partition of postgres1), beyond 0"
    return whole(
        "split_brain",
        "A primary that is cut from its standbys never acknowledges beside the promoted one.",
        [open_, fenced],
        trials,
        2,
        answer="no",
        exit_code=1,
        demonstration=True,
        sentence=f"The claim does not hold: {said}.",
        objectives=[
            ObjectiveResult(asked, "unfenced", "no", said, "no", [[1, "clients", 911]]),
            ObjectiveResult(asked, "fenced", "yes", "fenced: worst seen in 2 trials is 0 writes"),
        ],
    )


def in_place() -> Result:
    """Only the postmaster dies under Patroni: mostly a restart in place; one trial never came back in time."""
    kind = Kind("patroni", ("multi_host", "haproxy"), PATRONI, fault="crash_postmaster", settings={"ttl_s": 20})
    trials = [trial(number, kind, number) for number in (1, 2, 3, 4)]
    for one in (one for made in trials[:3] for one in made.waterfalls):
        one.kind, one.served_after, first = "restart in place", "postgres1", one.first_failure_s or 0.0
        one.steps = [Step("restart in place", first + 1.31, 1.31, 0.3, 3.4, "loop_wait_s (1)")]
        one.steps.append(Step("client: TCP retransmission", first + 1.53, 0.22))
        one.outage_s = 1.53
    trials[1].waterfalls[0].first_failure_s, trials[1].waterfalls[0].steps = None, []
    trials[1].waterfalls[0].outage_s, trials[1].waterfalls[0].kind = 0.0, "no failover"
    late = trials[3].waterfalls[1]
    late.censored, late.outage_s, late.steps = True, 9.42, late.steps[:2]
    late.steps.append(Step("client", 9.43, 9.43 - late.steps[-1].at_s, 0, 0.1))
    trials[0].sentences.append(
        "Patroni started postgres1's server again after 1.31 s: no failover, timeline 1 goes on."
    )
    return whole(
        "postmaster_crash",
        "Patroni starts a dead postmaster again sooner than it would fail over.",
        [kind],
        trials,
        4,
        answer="unknown",
        exit_code=2,
        sentence="Unknown: patroni: still no write was acknowledged >= 9.42 s when watched last (trial 4).",
    )


def four_routes() -> Result:
    """One arm, four routes, two strikes a trial (crash, then power loss): the widest table there is."""
    kind = Kind("patroni", ("multi_host", "dns", "zookeeper", "haproxy"), PATRONI, settings={"ttl_s": 20})
    trials = [trial(number, kind, number, ("crash", "power_loss")) for number in (1, 2, 3)]
    return whole("patroni_crash", "Every route is back inside its bound.", [kind], trials, 3)


def nothing_valid() -> Result:
    """The fault did not take effect in the only trial: asked, and not known."""
    reason = "Strike 1 (crash postgres1) did not take effect: its postmaster 17 is still there."
    made = TrialResult(1, "async", 1, "unknown", [reason])
    result = whole("primary_crash", "Writes come back.", [_ASYNC], [made], 1)
    result.answer, result.exit_code, result.sentence = "unknown", 2, f"Unknown: 0 of 1 trials are valid. {reason}"
    result.routes = [route_result(_ASYNC, route, "crash", []) for route in _ASYNC.routes]
    result.arms = [ArmResult("async", 1, 0, {"outage_s": estimate([])})]
    return result


def never_seen() -> Result:
    """The same as the judge gives it where no trial counts: measures that were asked, and no route."""
    result = nothing_valid()
    result.routes, result.losses = [], []
    return result


def cut_short() -> Result:
    """Ctrl-C in the second of eight trials: one is there, of one arm."""
    result = whole("primary_crash", "Writes come back.", [_ASYNC, _SYNC], [trial(1, _ASYNC, 1)], 4, partial=True)
    result.answer, result.exit_code = "unknown", 2
    result.sentence = "Unknown: the run was cut short after 1 of 8 trials."
    return result


ALL = {
    made.__name__: made for made in (crash, split_brain, in_place, four_routes, nothing_valid, never_seen, cut_short)
}


if __name__ == "__main__":
    from lab.report import html, terminal

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in ALL.items():
        (folder / f"{name}.html").write_text(html.render(make()))
        for width in (100, 80):
            text = terminal.text(make(), report="reports/latest/report.html", width=width)
            (folder / f"{name}.{width}.txt").write_text(text)
