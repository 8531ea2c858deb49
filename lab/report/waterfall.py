"""Outages as bars that add up, on one axis from the strike: a route's mean, what its settings allow, every trial.

A step has the same colour wherever it is drawn (class `step s-NAME`, see style.css).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from lab.report import accounts, svg, words
from lab.result import RouteResult, StepMean, TrialResult, Waterfall

_WIDTH = 960.0
_LEFT = 76.0
_CUT = 3.0
"""A bound this many times beyond all that was seen is told at the edge: bars to read are worth more than scale."""
_ROOM = 1.1
"""Behind a trial that was not back when its window closed: for the words that say so."""
_LABELLED = 12
"""More trials than this are drawn thinner, and named only to the pointer."""


class Row(NamedTuple):
    """One arm's route. `tone` picks the arm's colour, `about` is said below its name."""

    route: RouteResult
    tone: int
    about: str
    trials: list[tuple[TrialResult, list[Waterfall]]]
    promised: list[StepMean]


def waterfall(rows: Sequence[Row]) -> Markup:
    """One chart for one fault."""
    x, y, parts = _scale(rows), 6.0, []
    for row in rows:
        block, y = _block(row, x, y)
        parts.append(block)
    ticks = x.ticks(10)
    grid = [svg.line(x(tick), 0, x(tick), y, "grid") for tick in ticks]
    grid += [svg.text(x(tick), y + 16, words.seconds(tick), "middle", "tick") for tick in ticks]
    since = svg.text((x.start + x.end) / 2, y + 35, "seconds since the strike", "middle", "tick")
    said = "; ".join(f"{row.route.arm}, {row.route.route}: {_said(row.route)}" for row in rows)
    return svg.chart(_WIDTH, y + 42, f"Failover waterfall. {said}", *grid, *parts, since)


def legend(names: Sequence[str], *, gap: bool = True) -> Markup:
    """The colours of these steps as one line of keys."""
    keys = [_key(svg.box(0, 2, 14, 10, f"step {step_class(name)}"), name) for name in names]
    if gap:
        keys.insert(0, _key(_gap(0, 2, 14, 10), "before the first failure"))
    return Markup("\n").join(keys)


def step_class(name: str) -> str:
    """The style's name of a step: "s-client-tcp-retransmission", "s-other" for one that it does not know."""
    plain = "-".join(name.lower().replace(":", "").split())
    return f"s-{plain}" if name in accounts.STEPS else "s-other"


def segments(one: Waterfall, x: svg.Scale, y: float, height: float, title: str, origin_s: float = 0.0) -> list[Markup]:
    """One trial's steps; `origin_s` is where on the axis its second 0 lies."""
    parts = []
    for step in one.steps:
        start = x(origin_s + step.at_s - step.lasts_s)
        hover = f"{title}\n{step.name}: {words.number(step.lasts_s, 's')}"
        parts.append(_clip(start, x(origin_s + step.at_s), x, y, height, f"step {step_class(step.name)}", hover))
    if not one.steps and one.first_failure_s is not None:
        start, end = (x(origin_s + at) for at in (one.first_failure_s, one.first_failure_s + one.outage_s))
        parts.append(_clip(start, end, x, y, height, "step s-other", title))
    return parts


def told(one: Waterfall) -> str:
    """ "crash postgres1, multi_host: 1.05 s (restart in place), postgres1 then postgres2"."""
    size = f"{'>= ' if one.censored else ''}{words.number(one.outage_s, 's')}"
    servers = " then ".join(filter(None, (one.served_before, one.served_after)))
    outage = "no write failed" if one.first_failure_s is None else size
    return f"{accounts.fault(one.fault)} {one.node}, {one.route}: {outage} ({one.kind})" + (
        f"\nserved by {servers}" if servers else ""
    )


def _scale(rows: Sequence[Row]) -> svg.Scale:
    seen, bounds = [0.01], [0.0]
    for row in rows:
        route, start_s = row.route, row.route.first_failure_s or 0.0
        seen += [start_s + (route.outage.worst or 0.0), start_s + sum(step.mean_s for step in route.steps)]
        seen += [(one.first_failure_s or 0.0) - one.struck_s + one.outage_s for _, of in row.trials for one in of]
        if route.bound_high_s is not None:
            bounds.append(start_s + route.bound_high_s + route.allowance_s)
    longest = max(bounds) if max(bounds) <= _CUT * max(seen) else 1.4 * max(seen)
    censored = any(one.censored for row in rows for _, of in row.trials for one in of)
    return svg.Scale(0, max(longest, max(seen) * (_ROOM if censored else 1)) * 1.03, _LEFT, _WIDTH - 16)


def _block(row: Row, x: svg.Scale, y: float) -> tuple[Markup, float]:
    route, start_s = row.route, row.route.first_failure_s or 0.0
    name = svg.tag("tspan", route.arm, class_="name")
    parts = [
        svg.tag("text", name, svg.tag("tspan", f"  {route.route}", class_="plain"), x=4, y=y + 14),
        svg.text(x.end, y + 14, words.typeset(_said(route)), "end", "said halo"),
    ]
    top = y + 20
    if row.about:
        parts.append(svg.text(4, y + 30, row.about, "start", "tick"))
        top += 18
    bottom, bars = top, [*_mean(route, x, top)]
    bottom += 28
    if row.promised:
        bars += _promised(row.promised, x, bottom, start_s)
        bottom += 20
    pitch, height = (13.0, 9.0) if sum(len(of) for _, of in row.trials) <= _LABELLED else (6.0, 4.0)
    bottom += 3
    for trial, of in row.trials:
        for one in of:
            bars += _trial(trial, one, x, bottom, height, pitch > 10)
            bottom += pitch
    # Under the bars: a bound that hides what it is compared with says nothing.
    parts += [*_bound(route, x, top - 4, bottom, start_s), *bars, *_worst(route, x, top + 12, start_s)]
    return svg.tag("g", *parts, class_=f"arm{row.tone}"), bottom + 18


def _said(route: RouteResult) -> str:
    mean, worst = accounts.mean(route.outage), words.worst(route.outage)
    return f"{mean}, worst seen {worst}, bound {words.bound(route.bound_high_s, route.allowance_s)}"


def _mean(route: RouteResult, x: svg.Scale, y: float) -> list[Markup]:
    start_s, parts = route.first_failure_s or 0.0, [svg.text(x.start - 8, y + 16, "mean", "end", "tick")]
    if not route.outage.n:
        return [*parts, svg.text(x.start + 4, y + 16, "unknown: no valid trial", "start", "invalid")]
    if start_s:
        title = f"first failure {words.number(start_s, 's')} after the strike"
        parts.append(_gap(x.start, y, x(start_s) - x.start, 24, title))
    at_s = start_s
    for step in route.steps:
        start, end = x(at_s), x(at_s + step.mean_s)
        at_s += step.mean_s
        parts.append(_clip(start, end, x, y, 24, f"step {step_class(step.name)}", _title(step)))
        if said := _that_fits(step.name, step.mean_s, end - start):
            parts.append(svg.text((start + end) / 2, y + 16, said, "middle", "inside on0"))
    if not route.steps and not route.outage.worst:
        parts.append(svg.text(x.start + 8, y + 16, "no write failed", "start", "tick"))
    return parts


def _title(step: StepMean) -> str:
    mean, worst = words.number(step.mean_s, "s"), words.number(step.worst_s, "s")
    return f"{step.name}: mean {mean}, worst seen {worst}, {_promise(step)}"


def _promise(step: StepMean) -> str:
    return f"promised {accounts.promise(step)}" + (f"\nmoved by {step.moved_by}" if step.moved_by else "")


def _promised(steps: Sequence[StepMean], x: svg.Scale, y: float, start_s: float) -> list[Markup]:
    """The most that the settings allow for each step."""
    parts, at_s = [svg.text(x.start - 8, y + 12, "at most", "end", "tick")], start_s
    for step in steps:
        high_s = step.high_s or 0.0
        start, end = x(at_s), min(x(at_s + high_s), x.end)
        at_s += high_s
        parts.append(_clip(start, end, x, y, 16, f"promised {step_class(step.name)}", f"{step.name}: {_promise(step)}"))
        if said := _that_fits(step.name, high_s, end - start):
            parts.append(svg.text((start + end) / 2, y + 12, said, "middle", "inside tick"))
    return parts


def _trial(trial: TrialResult, one: Waterfall, x: svg.Scale, y: float, height: float, named: bool) -> list[Markup]:
    title, parts = f"trial {trial.trial}: {told(one)}", []
    if named:
        parts.append(svg.text(x.start - 8, y + height, f"trial {trial.trial}", "end", "tick small"))
    if one.first_failure_s is None:
        return [*parts, svg.text(x.start + 4, y + height, "no write failed", "start", "tick small")]
    start = x(one.first_failure_s - one.struck_s)
    parts.append(_gap(x.start, y, start - x.start, height, title))
    parts += segments(one, x, y, height, title, -one.struck_s)
    end = x(one.first_failure_s - one.struck_s + one.outage_s)
    if one.censored:
        middle = y + height / 2
        parts.append(svg.path(f"M{end:.1f} {middle:.1f}h9m-4 -3.5l4 3.5l-4 3.5", "cross", title))
    note = ", ".join(
        filter(
            None,
            ("" if one.kind == "failover" else one.kind, "not back" if one.censored else ""),
        )
    )
    if note and named:
        width = len(note) * 6.2
        beyond = end + 16 + width > _WIDTH
        at, anchor = (x.end, "end") if beyond else (end + (14 if one.censored else 6), "start")
        parts.append(svg.text(at, y + height, note, anchor, "tick small halo"))
    return parts


def _bound(route: RouteResult, x: svg.Scale, top: float, bottom: float, start_s: float) -> Iterable[Markup]:
    if route.bound_high_s is None:
        return
    said = f"bound {words.bound(route.bound_high_s, route.allowance_s)} after the first failure"
    at = x(start_s + route.bound_high_s)
    if at > x.end:
        middle = top + 16
        yield svg.path(f"M{x.end - 14:.1f} {middle:.1f}h14m-5 -4l5 4l-5 4", "cross", said)
        yield svg.text(x.end - 20, middle + 4, f"{said}: beyond the edge", "end", "tick")
        return
    width = min(x(start_s + route.bound_high_s + route.allowance_s), x.end) - at
    yield svg.box(at, top, width, bottom - top, "allowance", "allowance for the lab's own lag")
    yield svg.line(at, top, at, bottom, "bound", said)


def _worst(route: RouteResult, x: svg.Scale, y: float, start_s: float) -> Iterable[Markup]:
    if route.outage.worst:
        at = x(start_s + route.outage.worst)
        title = f"worst seen {words.worst(route.outage)}\n{route.outage.worst_where}".rstrip()
        arrow = "m10 -4h8m-3 -3l3 3l-3 3" if route.outage.worst_censored else ""
        yield svg.path(f"M{at - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8{arrow}", "cross", title)


def _that_fits(name: str, seconds: float, width: float) -> str:
    said = words.number(seconds, "s")
    return next((one for one in (f"{name} {said}", name, said) if len(one) * 6.6 + 8 < width), "")


def _clip(start: float, end: float, x: svg.Scale, y: float, height: float, class_: str, title: str) -> Markup:
    return svg.box(start, y, min(end, x.end) - start, height, class_, title)


def _gap(x: float, y: float, width: float, height: float, title: str = "") -> Markup:
    """Hatched: struck already, and no write has failed yet."""
    lines = []
    offset = -height + 4
    while offset < width:
        left, right = max(0.0, offset), min(width, offset + height)
        lines.append(
            f"M{x + left:.1f} {y + height - (left - offset):.1f}L{x + right:.1f} {y + height - (right - offset):.1f}"
        )
        offset += 4
    return svg.tag(
        "g", svg.box(x, y, width, height, "gap", title), svg.path("".join(lines), "hatch") if lines else Markup()
    )


def _key(drawn: Markup, name: str) -> Markup:
    key = svg.tag("svg", drawn, class_="key", viewBox="0 0 14 14", aria_hidden="true")
    return svg.tag("span", key, f" {name}")
