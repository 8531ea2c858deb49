"""Whether a trial can be judged at all. A trial that cannot is unknown, never a pass, and says why.

Every rule is one small function that yields sentences; a trial is valid when none has anything to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import pairwise

from lab.checkers.blindness import Stall, lateness_of, lateness_p99_ms, stalls_of
from lab.checkers.staleness import wrong_at
from lab.checkers.truth import S, Truth, truth_of
from lab.checkers.views import Views, views_of
from lab.history import Event, History
from lab.verdict import Valid, Verdict

NAME = "validity"
STALL_FLOOR_S = 0.05
STALL_SHARE = 0.1
"""A writer that was blind for longer than this share of the largest bound (at least the floor) saw too little."""
RATE_SHARE = 0.02
"""By how much the load may miss its intended rate."""
EDGE_NS = S // 10
"""What is due in the last moment before the strike may be sent just after it."""
SIGMAS = 4.0
"""Arrivals are Poisson: a count may differ from its mean by this many standard deviations and mean nothing."""
SILENT_S = 2.0
"""A writer that says something every second and has not for this long is not there."""


def check(history: History) -> Verdict:
    """Yes when the trial can be judged, else unknown with every reason, a sentence each; never no."""
    if not history.plan:
        return Verdict(NAME, Valid.UNKNOWN, ("there is no plan event: this is not the history of a whole trial",))
    truth = truth_of(history)
    views = views_of(history, truth.end_ns)
    reasons = [
        *unfinished(history),
        *unproven(history, truth),
        *unreadable(history),
        *damaged(history, views),
        *unsteady(truth, views),
        *blind(history, truth),
        *underloaded(history, truth),
        *miscounted(history),
        *silent(history, truth),
    ]
    answer = Valid.UNKNOWN if reasons else Valid.YES
    return Verdict(NAME, answer, tuple(reasons), (), lab_figures(history, truth, clients=len(views.clients)))


def unfinished(history: History) -> Iterator[str]:
    """The engine itself gave up, was stopped, or lost a node, which then undid its fault."""
    for event in history.of("trial.error"):
        yield f"the trial did not run to its end: {event.fields.get('text', '')}"
    for event in history.of("lease.expired"):
        yield f"{event.writer} heard nothing from the lab for so long that it healed its node by itself"


def unproven(history: History, truth: Truth) -> Iterator[str]:
    """Every planned strike must have taken effect, on evidence that was not there before and is gone after healing."""
    proven: set[int] = set()
    for event in history.of("fault.effective", "fault.ineffective", "fault.checked"):
        fields = event.fields
        what = f"strike {fields['strike']} ({fields['fault']} of {fields['node']})"
        if event.kind == "fault.effective":
            proven.add(fields["strike"])
        elif event.kind == "fault.ineffective":
            proven.add(fields["strike"])  # spoken of, in these words
            yield f"{what} did not take effect: {fields['missing']}"
        elif fields["when"] == "before" and fields["holds"]:
            yield f"{what}: its evidence was already true before it was commanded, so it proves nothing"
        elif fields["when"] == "healed" and fields["holds"]:
            yield f"{what} was healed, but it still held: {fields.get('evidence', {}).get('error', 'see its evidence')}"
    for planned in truth.plan.get("strikes", ()):
        if planned["strike"] not in proven:
            yield f"strike {planned['strike']} ({planned['fault']} of {planned['target']}) was planned and never proven"


def unreadable(history: History) -> Iterator[str]:
    """Lines that are missing, clocks that cannot be compared."""
    for source in history.sources:
        if source.gaps:
            yield f"{source.writer}: {source.gaps} of its events are missing (its seq skips)"
    boots = {source.boot_id for source in history.sources if source.boot_id}
    if len(boots) > 1:
        yield f"its writers ran on {len(boots)} kernels, whose clocks cannot be compared"


def damaged(history: History, views: Views) -> Iterator[str]:
    """Views that do not add up, requests that ran backwards in time."""
    if views.damaged:
        writer, seq = views.damaged[0]
        yield f"{len(views.damaged)} views differ from what their changes add up to (first: {writer} {seq})"
    yield from ran_backwards(history, "request")


def ran_backwards(history: History, line: str) -> Iterator[str]:
    """Lines of this kind that were sent before they were due, or done before they were sent."""
    backwards = sum(1 for event in history.of(line) if _backwards(event))
    if backwards:
        yield f"{backwards} {line}s were sent before they were due, or done before they were sent"


def _backwards(event: Event) -> bool:
    fields = event[4]
    sent_ns = fields["sent_ns"]
    due_ns: int = fields["due_ns"]
    return event[0] < due_ns if sent_ns is None else not due_ns <= sent_ns <= event[0]


def unsteady(truth: Truth, views: Views) -> Iterator[str]:
    """At the end of the baseline every client should be right; those who are not are excluded, unless they are most."""
    planned = int(truth.plan.get("clients", 0))
    wrong = sum(wrong_at(truth, its, truth.struck_ns) for its in views.clients.values())
    absent = max(0, planned - len(views.clients))
    clients = len(views.clients) + absent
    if planned and absent == planned:
        yield f"none of the {planned} clients ever had a view"
    elif 2 * (wrong + absent) > clients:
        yield f"before anything was broken {wrong + absent} of {clients} clients were already wrong: no steady state"


def blind(history: History, truth: Truth, excused: Callable[[Stall], bool] | None = None) -> Iterator[str]:
    """No writer of the lab may have stalled long enough to hide or to make a finding."""
    limit_s = stall_limit_s(truth)
    after_ns, before_ns = _watched(truth)
    longest: dict[str, float] = {}
    for stall in stalls_of(history):
        if stall.overlaps(after_ns, before_ns) and not (excused and excused(stall)):
            longest[stall.writer] = max(longest.get(stall.writer, 0.0), stall.late_ns / S)
    for writer, late_s in sorted(longest.items()):
        if late_s > limit_s:
            yield f"{writer} stalled for {late_s:.3f} s, more than {limit_s:.3f} s: what it measured then is not known"


def stall_limit_s(truth: Truth) -> float:
    """How long a writer may be blind."""
    return max(STALL_FLOOR_S, STALL_SHARE * truth.largest_bound_s)


def underloaded(history: History, truth: Truth, line: str = "request") -> Iterator[str]:
    """The load must have kept its intended rate while nothing was broken, and have accounted for every second."""
    begun = next(history.of("load.begin"), None)
    if begun is None:
        if truth.plan.get("rate_per_s"):
            yield "the load never began: there is no load.begin"
        return
    seconds = {event.fields["second"]: event.fields for event in history.of("load.second")}
    missing = sorted(set(range(max(seconds, default=-1) + 1)) - set(seconds))
    expected = int((truth.end_ns - begun.t_ns) / S)
    if missing or len(seconds) < expected:
        count = max(len(missing), expected - len(seconds))
        yield f"{count} of the load's {expected} seconds are not accounted for"
    rate_per_s = float(begun.fields.get("rate_per_s", truth.plan.get("rate_per_s", 0.0)))
    # Until then clients are still coming, and nothing is due.
    after_ns = begun.t_ns + int((begun.fields.get("start_over_s", 0.0) + begun.fields.get("warm_up_s", 0.0)) * S)
    due, late = _late(history, line, after_ns, truth.struck_ns)
    before = f"{max(0, truth.struck_ns - after_ns) / S:.1f} s before the strike"
    yield from _missed(f"in {before}", f"{line}s", due, rate_per_s * (truth.struck_ns - EDGE_NS - after_ns) / S)
    if late > RATE_SHARE * due:
        yield f"{late} of {due} {line}s that were due in {before} were not sent by then"
    # What is due depends on nobody's health: whatever is broken, the intended rate goes on.
    if (ended := next(history.of("load.end"), None)) is not None:
        span_s = (ended.t_ns - after_ns) / S
        due, when = int(ended.fields["due"]), f"in {span_s:.1f} s from the first to the last"
        yield from _missed(when, f"{line}s", due, rate_per_s * span_s)


def _missed(when: str, what: str, due: int, planned: float) -> Iterator[str]:
    if planned > 0 and abs(due - planned) > RATE_SHARE * planned + SIGMAS * planned**0.5:
        yield f"{when} {due} {what} were due, where {planned:.0f} were intended"


def _late(history: History, line: str, after_ns: int, until_ns: int) -> tuple[int, int]:
    """(due, of these not sent) in a span; what is due at its very end may be sent a moment later."""
    due = late = 0
    for event in history.of(line):
        fields = event[4]
        if after_ns <= fields["due_ns"] < until_ns - EDGE_NS:
            due += 1
            late += fields["sent_ns"] is None or fields["sent_ns"] >= until_ns
    return due, late


def miscounted(history: History, line: str = "request") -> Iterator[str]:
    """Due = done, sent <= due, and as many lines as were done: what nobody accounts for could be anything."""
    ended = next(history.of("load.end"), None)
    if ended is None:
        if next(history.of("load.begin"), None) is not None:
            yield "the load never ended: there is no load.end, so nobody knows what was left open"
        return
    due, sent, done = (int(ended.fields[name]) for name in ("due", "sent", "done"))
    lines = sum(1 for _ in history.of(line))
    counted: Counter[str] = Counter()
    for event in history.of("load.second"):
        for name in ("due", "sent", "done"):
            counted[name] += event.fields[name]
    if due != done or sent > due:
        yield f"the load does not add up: {due} due, {sent} sent, {done} done"
    if lines != done:
        yield f"the load did {done} {line}s, but {lines} are recorded"
    for name, total in (("due", due), ("sent", sent), ("done", done)):
        if counted[name] != total:
            yield f"the load's seconds add up to {counted[name]} {line}s {name}, its end says {total}"


def silent(history: History, truth: Truth, spared: Collection[str] = ()) -> Iterator[str]:
    """Every node's agent tells of its ticks each second, unless its host was made to vanish.

    So does every writer that does so at all, but for the spared ones: a strike that silences them is known.
    """
    after_ns, before_ns = _watched(truth)
    heard: dict[str, list[int]] = {f"agent/{node['node']}": [] for node in truth.plan.get("nodes", ())}
    for event in history.of("lag"):
        heard.setdefault(event.writer, []).append(event.t_ns)
    slack_ns = int(SILENT_S * S)
    vanished = _vanished(history, before_ns)
    for writer, stamps in sorted(heard.items()):
        if writer in spared:
            continue
        inside = [t_ns for t_ns in stamps if after_ns < t_ns < before_ns]
        longest_ns = 0
        for a, b in pairwise([after_ns, *inside, before_ns]):
            excused = any(start - slack_ns <= a and b <= end + slack_ns for start, end in vanished.get(writer, ()))
            if not excused:
                longest_ns = max(longest_ns, b - a)
        if longest_ns > slack_ns:
            yield f"{writer} was silent for {longest_ns / S:.1f} s: nobody watched there"


def _vanished(history: History, end_ns: int) -> dict[str, list[tuple[int, int]]]:
    """When the agents of vanished hosts could not say anything."""
    healed = {event.fields["strike"]: int(event.fields["before_ns"]) for event in history.of("fault.healed")}
    found: dict[str, list[tuple[int, int]]] = {}
    for event in history.of("fault.effective"):
        fields = event.fields
        if fields["fault"] == "vanish":
            window = (int(fields["after_ns"]), healed.get(fields["strike"], end_ns))
            found.setdefault(f"agent/{fields['node']}", []).append(window)
    return found


def _watched(truth: Truth) -> tuple[int, int]:
    """From the start of the baseline to the load's end (the settle's end, where a trial came that far)."""
    return truth.baseline_ns, truth.end_ns


def lab_figures(history: History, truth: Truth, **clients: int) -> dict[str, object]:
    """What the lab says of itself: its lag, its stalls, how many clients there were, and the load's totals."""
    after_ns, before_ns = _watched(truth)
    stalls = [stall for stall in stalls_of(history) if stall.overlaps(after_ns, before_ns)]
    by_writer = {
        writer: round(p99, 3)
        for writer, buckets in sorted(lateness_of(history, after_ns, before_ns).items())
        if (p99 := lateness_p99_ms(buckets)) is not None
    }
    ended = next(history.of("load.end"), None)
    late = [event.fields.get("late_ms_p99") or 0.0 for event in history.of("load.second")]
    return {
        "lab_lag_p99_ms": max(by_writer.values(), default=None),
        "lab_lag_p99_ms_by_writer": by_writer,
        "stalls": len(stalls),
        "longest_stall_s": max((stall.late_ns / S for stall in stalls), default=0.0),
        "stall_limit_s": round(stall_limit_s(truth), 4),
        **clients,
        "requests_due": ended.fields["due"] if ended else None,
        "requests_sent": ended.fields["sent"] if ended else None,
        "requests_done": ended.fields["done"] if ended else None,
        "sends_late_ms_p99_worst_second": max(late, default=0.0),
        "torn_lines": history.torn,
        "events": len(history),
    }
