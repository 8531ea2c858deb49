"""What should not happen: the living removed from a registry or a view, and views that are wrong while nothing changes.

Zero exposure never passes; zero findings over N client-seconds does. So both figures come with their exposure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from lab.checkers.staleness import differs
from lab.checkers.truth import S, Truth, truth_of
from lab.checkers.views import ClientViews, Views, views_of
from lab.history import History
from lab.measures import false_removals, wrong_view_s
from lab.verdict import Sample, Valid, Verdict

NAME = "quiet"
MARGIN = 1.25
"""A change's window is this many times its bound; a view that is wrong later than that is wrong in quiet times too."""
EVIDENCE = 20

Span = tuple[int, int]


def check(history: History) -> Verdict:
    """One sample of each measure a trial; no where anything was found, unknown where nobody was watched."""
    truth = truth_of(history)
    views = views_of(history, truth.end_ns)
    quiet = complement(loud(truth), truth.baseline_ns, truth.end_ns)
    watched_s = sum(_length(span) for its in views.clients.values() for span in watched(its, truth))
    exposure_s = wrong_s = 0.0
    cited: list[tuple[str, int]] = []
    for its in views.clients.values():
        seen_s, bad_s, refs = _wrong(its, truth, quiet)
        exposure_s, wrong_s = exposure_s + seen_s, wrong_s + bad_s
        cited += refs
    from_views, of_views = removals_from_views(views, truth)
    from_registry, of_registry = removals_from_registry(history, truth)
    figures = {
        "exposure_client_s": round(exposure_s, 3),
        "watched_client_s": round(watched_s, 3),
        "false_removals_from_views": from_views,
        "false_removals_from_registry": from_registry,
    }
    samples: list[Sample] = []
    reasons: list[str] = []
    if watched_s > 0:
        found = from_views + from_registry
        by = (*of_registry, *of_views)[:EVIDENCE]
        samples.append(Sample(false_removals.name, "", float(found), evidence=by))
        if found:
            reasons.append(
                f"{from_registry} removals of the living from the registry, {from_views} from views of clients"
            )
    if exposure_s > 0:
        samples.append(Sample(wrong_view_s.name, "", round(wrong_s, 6), evidence=tuple(cited[:EVIDENCE])))
        if wrong_s > 0:
            reasons.append(f"{wrong_s:.3f} client-seconds of wrong views in {exposure_s:.1f} quiet client-seconds")
    if reasons:
        return Verdict(NAME, Valid.NO, tuple(reasons), tuple(samples), figures)
    if not samples:
        return Verdict(NAME, Valid.UNKNOWN, ("zero client-seconds were watched: a claim about nothing",), (), figures)
    return Verdict(NAME, Valid.YES, (), tuple(samples), figures)


def loud(truth: Truth) -> list[Span]:
    """The windows of all changes, in order: from the first sign to 1.25 x the bound, or to its end."""
    spans = []
    for change in truth.changes:
        bound = truth.bound(change)
        until_ns = change.until_ns
        if bound:
            until_ns = min(until_ns, change.before_ns + int(MARGIN * bound["high_s"] * S))
        spans.append((change.since_ns, until_ns))
    return sorted(spans)


def complement(spans: list[Span], after_ns: int, until_ns: int) -> list[Span]:
    """What of [after, until) no span covers; `spans` are sorted by start."""
    left = []
    for start, end in spans:
        if start > after_ns:
            left.append((after_ns, min(start, until_ns)))
        after_ns = max(after_ns, end)
    left.append((after_ns, until_ns))
    return [(start, end) for start, end in left if end > start]


def watched(its: ClientViews, truth: Truth) -> Iterator[Span]:
    """When a client had a view, from the baseline on."""
    for span in its.spans(truth.baseline_ns, truth.end_ns):
        yield span.start_ns, span.end_ns


def _wrong(its: ClientViews, truth: Truth, quiet: list[Span]) -> tuple[float, float, list[tuple[str, int]]]:
    """(quiet client-seconds, those with a wrong view, the views' events) of one client."""
    seen_s = wrong_s = 0.0
    refs: list[tuple[str, int]] = []
    edges = sorted({edge for node in truth.backends for edge in truth.lives[node].edges_ns})
    for start, end in quiet:
        for span in its.spans(start, end):
            cuts = [span.start_ns, *(edge for edge in edges if span.start_ns < edge < span.end_ns), span.end_ns]
            for a, b in pairwise(cuts):
                seen_s += (b - a) / S
                middle_ns = (a + b) // 2
                if differs(span.nodes, truth.serving(middle_ns), truth.backends - truth.dead(middle_ns)):
                    wrong_s += (b - a) / S
                    refs.append(span.ref)
    return seen_s, wrong_s, refs


def removals_from_views(views: Views, truth: Truth) -> tuple[int, list[tuple[str, int]]]:
    """How often a node that served left a client's view, and by which events."""
    count = 0
    refs: list[tuple[str, int]] = []
    for its in views.clients.values():
        before: frozenset[str] | None = None
        for span in its.spans(truth.baseline_ns, truth.end_ns):
            gone = (before or frozenset()) - span.nodes
            false = sum(1 for node in gone if node in truth.lives and truth.lives[node].serving_at(span.start_ns))
            if false:
                count += false
                refs.append(span.ref)
            before = span.nodes
    return count, refs


def removals_from_registry(history: History, truth: Truth) -> tuple[int, list[tuple[str, int]]]:
    """How often a node that served left the registry: counted at the server that showed it most often, not at each.

    A node is gone from a server when none of its incarnations is left there: the old one's end after a fast restart
    removes nobody.
    """
    listed: dict[tuple[str, str], set[int | None]] = defaultdict(set)
    refs: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for event in history.of("registry.published"):
        fields = event.fields
        node, server, incarnation = fields["node"], fields.get("server", ""), fields.get("incarnation")
        here = listed[server, node]
        if fields["present"]:
            here.add(incarnation)
            continue
        here.discard(incarnation)
        life = truth.lives.get(node)
        watched_then = truth.baseline_ns <= event.t_ns < truth.end_ns
        if watched_then and not here and life is not None and life.serving_at(event.t_ns):
            refs[server].append(event.ref)
    most = max(refs.values(), key=len, default=[])
    return len(most), most


def _length(span: Span) -> float:
    return (span[1] - span[0]) / S
