"""How long clients were wrong about each change: dead but listed, alive but missing, leaving but listed.

A sample is one client and one change. It runs from the middle of the change's interval to the *last* instant at which
the client was wrong about that node, and never below 0: inside the interval nobody can be late. What was still wrong
when the window closed is censored: the truth is at least that. So is a removal after which a client knew nobody at all
until its window closed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lab.checkers.blindness import Stall, blind_s, stalls_of
from lab.checkers.milestones import Milestones
from lab.checkers.truth import Change, S, Truth, truth_of
from lab.checkers.views import ClientViews, Nodes, views_of
from lab.history import History
from lab.measures import alive_but_missing_s, dead_but_listed_s, leaving_but_listed_s
from lab.verdict import Sample, Valid, Verdict

NAME = "staleness"
CONFIRMED_S = 1.0
"""A client is believed to be right when it stayed so for this long."""
MEASURES = {
    "removal": dead_but_listed_s.name,
    "return": alive_but_missing_s.name,
    "leaving": leaving_but_listed_s.name,
}


def check(history: History) -> Verdict:
    """Samples of every client and change; unknown where there was no change, or nobody who could be watched."""
    truth = truth_of(history)
    changes = [change for change in truth.changes if change.node in truth.backends]
    if not changes:
        return Verdict(NAME, Valid.UNKNOWN, ("no instance changed: there is nothing to be late about",))
    views = views_of(history, truth.end_ns)
    watch = _Watch(truth, stalls_of(history), Milestones(history), Counter(dict.fromkeys(_COUNTS, 0)))
    wrong = frozenset(client for client, its in views.clients.items() if wrong_at(truth, its, truth.struck_ns))
    samples: list[Sample] = []
    for change in changes:
        for client, its in views.clients.items():
            if client in wrong:
                watch.counts["excluded_wrong_at_baseline"] += 1
            elif (sample := watch.sample(change, its)) is not None:
                samples.append(sample)
    figures = {**watch.counts, "clients_wrong_at_baseline": len(wrong)}
    if not samples:
        return Verdict(NAME, Valid.UNKNOWN, ("no client was right before any change: nobody to watch",), (), figures)
    return Verdict(NAME, Valid.YES, (), tuple(samples), figures)


def wrong_at(truth: Truth, its: ClientViews, t_ns: int) -> bool:
    """Whether a view lacks somebody certainly alive, or lists somebody certainly dead, at an instant; none is wrong."""
    nodes = its.at(t_ns)
    return nodes is None or differs(nodes, truth.serving(t_ns), truth.backends - truth.dead(t_ns))


def differs(nodes: Nodes, serving: Nodes, allowed: Nodes) -> bool:
    """Whether a view lacks somebody who serves, or lists somebody who does not."""
    return not serving <= nodes <= allowed


_COUNTS = (
    "excluded_wrong_at_baseline",
    "excluded_wrong_before_change",
    "excluded_closed",
    "closed_while_watched",
    "relapses",
    "unconfirmed",
    "clamped_to_zero",
    "forgot_everybody",
)


@dataclass(slots=True)
class _Watch:
    truth: Truth
    stalls: list[Stall]
    milestones: Milestones
    counts: Counter[str]

    def sample(self, change: Change, its: ClientViews) -> Sample | None:
        """What one client came to in one change; None (and counted) where it cannot be watched."""
        listing_is_wrong = change.what != "return"
        before = its.at(change.since_ns - 1)
        if before is None:
            self.counts["excluded_closed"] += 1
            return None
        if (change.node in before) != listing_is_wrong:
            self.counts["excluded_wrong_before_change"] += 1
            return None
        end_ns, relapses = change.after_ns, 0
        turned: tuple[tuple[str, int], ...] = ()
        is_wrong = was_right = forgot = False
        for span in its.spans(change.after_ns, change.until_ns):
            is_wrong = (change.node in span.nodes) == listing_is_wrong
            if is_wrong:
                relapses += was_right
                end_ns = span.end_ns
            elif not was_right:
                turned = (span.ref,)
            was_right = not is_wrong
            forgot = not span.nodes and bool(self.truth.serving(span.start_ns))
        # Whoever knows nobody at all, though some serve, has not learned of a removal: its discovery broke.
        forgot = forgot and listing_is_wrong and end_ns > change.after_ns
        self.counts["forgot_everybody"] += forgot
        censored = is_wrong or forgot or self._unconfirmed(change, its, end_ns)
        self._count(change, its, end_ns, relapses)
        writers = frozenset({"clients", f"agent/{change.node}"})
        names = [phase["name"] for phase in self.truth.bound(change).get("phases", ())]
        return Sample(
            MEASURES[change.what],
            change.key,
            max(0.0, (end_ns - change.instant_ns) / S),
            its.client,
            censored,
            change.width_s + blind_s(self.stalls, writers, change.after_ns, max(end_ns, change.before_ns)),
            self.milestones.split(change, names, end_ns, censored=censored),
            (change.ref, *(() if is_wrong else turned)),
        )

    def _unconfirmed(self, change: Change, its: ClientViews, end_ns: int) -> bool:
        """Right for too short a time before nobody watched any more. A return ends the question itself."""
        closed_ns = its.closed_ns
        cut_ns = change.until_ns if closed_ns is None else min(change.until_ns, closed_ns)
        asked_on = change.closed_by == "end" or cut_ns < change.until_ns
        unconfirmed = asked_on and end_ns > change.after_ns and cut_ns - end_ns < CONFIRMED_S * S
        self.counts["unconfirmed"] += unconfirmed
        return unconfirmed

    def _count(self, change: Change, its: ClientViews, end_ns: int, relapses: int) -> None:
        self.counts["relapses"] += relapses
        self.counts["clamped_to_zero"] += change.after_ns < end_ns < change.instant_ns
        self.counts["closed_while_watched"] += its.closed_ns is not None and its.closed_ns < change.until_ns
