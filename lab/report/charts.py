"""The charts of the page, as SVG by hand: no library, no script, a few kilobytes. They show; they decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from lab.report import svg, words
from lab.report.curves import Over, value_at
from lab.result import Difference, Estimate, PhaseMean

_WIDTH = 960.0
_HOVERS = 80


class Line(NamedTuple):
    """One arm of a convergence curve. `tone` picks its colour."""

    arm: str
    tone: int
    curve: Over
    high_s: float | None
    allowance_s: float
    trials: int
    open: str
    """ "dns: 2 of 480 still wrong at the end", or ""."""
    seen_s: float
    """The longest time that was watched; a line without an end goes on to there at least."""


def convergence(lines: Sequence[Line]) -> Markup:
    """The share of clients that are right against seconds since the change: one line an arm, band over its trials."""
    top, bottom, left, right = 14.0 + 17 * len(lines), 330.0, 58.0, 20.0
    bounds = [line.high_s + line.allowance_s for line in lines if line.high_s is not None]
    end = max([*bounds, *(max(line.curve.last_s, line.seen_s) for line in lines), 0.1]) * 1.05
    x, y = svg.Scale(0, end, left, _WIDTH - right), svg.Scale(0, 1, bottom, top)
    parts = [_grid_x(x, top, bottom, "seconds since the change")]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts += [
            svg.line(left, y(share), _WIDTH - right, y(share), "grid"),
            svg.text(left - 8, y(share) + 4, words.share(share), "end", "tick"),
        ]
    parts += [_bound(line, x, row, top, bottom) for row, line in enumerate(lines)]
    parts += [_curve(line, x, y, end) for line in lines]
    parts += [_curve_name(line, index, lines, x, y) for index, line in enumerate(lines)]
    parts.append(_hovers(lines, x, top, bottom))
    said = "; ".join(
        f"{line.arm}: half are right after {words.number(line.curve.reaches(0.5), 's')}, "
        f"{words.share(line.curve.right)} after {words.number(line.curve.last_s, 's')}"
        for line in lines
    )
    return svg.chart(_WIDTH, bottom + 44, f"Share of clients with the right view. {said}", *parts)


def _bound(line: Line, x: svg.Scale, row: int, top: float, bottom: float) -> Markup:
    if line.high_s is None:
        return Markup()
    at, y = x(line.high_s), 14.0 + 17 * row
    said = f"{line.arm}: bound {words.bound(line.high_s, line.allowance_s)}"
    width = x(line.high_s + line.allowance_s) - at
    fits = at - len(said) * 7 > x.start
    return svg.tag(
        "g",
        svg.box(at, top, width, bottom - top, "allowance", "allowance for the lab's own lag"),
        svg.line(at, y - 8, at, bottom, "bound", said),
        svg.text(at - 6 if fits else at + 6, y + 3, said, "end" if fits else "start", "name small halo"),
        class_=f"arm{line.tone}",
    )


def _curve(line: Line, x: svg.Scale, y: svg.Scale, end: float) -> Markup:
    curve = line.curve
    title = f"{line.arm}: mean of {words.plural(line.trials, 'trial')}"
    last_x, last_y = x(curve.last_s), y(curve.right)
    parts = [
        svg.path(svg.band(curve.low, curve.high, x, y, end), "band"),
        svg.path(svg.steps(curve.mean, x, y, curve.last_s), "line", title),
        svg.path(f"M{last_x:.1f} {last_y:.1f}H{x.end:.1f}", "line after" if curve.right >= 1 else "line open"),
        svg.tag("circle", *svg.hover(f"{line.arm}: the last one"), cx=last_x, cy=last_y, r=4, class_="dot"),
    ]
    if line.open:
        parts.append(svg.text(x.end, last_y + 18, line.open, "end", "name small halo"))
    return svg.tag("g", *parts, class_=f"arm{line.tone}")


def _curve_name(line: Line, index: int, lines: Sequence[Line], x: svg.Scale, y: svg.Scale) -> Markup:
    """The arm's name beside its line, each at its own height, and past a bound that would run through it."""
    level = (0.8 - 0.6 * (index + 0.5) / len(lines)) * line.curve.right
    at, width = x(line.curve.reaches(level)) + 10, len(line.arm) * 8.5
    for start, end in sorted((x(o.high_s), x(o.high_s + o.allowance_s)) for o in lines if o.high_s is not None):
        if at - 4 < end and start < at + width + 4:
            at = end + 8
    fits = at + width < x.end
    name = svg.text(at if fits else at - 20, y(level) + 5, line.arm, "start" if fits else "end", "name halo")
    return svg.tag("g", name, class_=f"arm{line.tone}")


def _hovers(lines: Sequence[Line], x: svg.Scale, top: float, bottom: float) -> Markup:
    """Invisible columns that tell every arm's share while the pointer rests on them: a chart to read off, no script."""
    width = (x.end - x.start) / _HOVERS
    columns = []
    for index in range(_HOVERS):
        t = x.low + (index + 0.5) / _HOVERS * (x.high - x.low)
        said = "\n".join(f"{line.arm}: {words.share(value_at(line.curve.mean, t))}" for line in lines)
        columns.append(svg.box(x.start + index * width, top, width, bottom - top, "hit", f"after {t:.2f} s\n{said}"))
    return svg.tag("g", *columns)


def _grid_x(x: svg.Scale, top: float, bottom: float, said: str, about: int = 10) -> Markup:
    parts = [svg.text((x.start + x.end) / 2, bottom + 38, said, "middle", "tick")] if said else []
    for tick in x.ticks(about):
        parts += [
            svg.line(x(tick), top, x(tick), bottom, "grid"),
            svg.text(x(tick), bottom + 18, words.typeset(words.seconds(tick)), "middle", "tick"),
        ]
    return svg.tag("g", *parts)


STRIP = 300.0
_STRIP_HEIGHT = 34.0


def strip_scale(estimates: Sequence[Estimate], highs_s: Sequence[float]) -> svg.Scale:
    """One scale for every arm's strip, so that they can be compared at a glance."""
    values = [value for e in estimates for value in (*e.each, e.worst, e.high) if value is not None]
    return svg.Scale(0, max([*values, *highs_s, 0.01]) * 1.06, 8, STRIP - 8)


def strip(estimate: Estimate, tone: int, x: svg.Scale, high_s: float | None, allowance_s: float) -> Markup:
    """One arm on one line: its trials, their mean with its interval, the worst value seen, the bound."""
    middle, parts = _STRIP_HEIGHT / 2, [svg.line(x.start, _STRIP_HEIGHT / 2, x.end, _STRIP_HEIGHT / 2, "grid")]
    if high_s is not None:
        parts += [
            svg.box(x(high_s), 3, x(high_s + allowance_s) - x(high_s), _STRIP_HEIGHT - 6, "allowance"),
            svg.line(x(high_s), 3, x(high_s), _STRIP_HEIGHT - 3, "bound", f"bound {words.bound(high_s, allowance_s)}"),
        ]
    if estimate.low is not None and estimate.high is not None:
        low, high = x(max(estimate.low, x.low)), x(estimate.high)
        parts.append(svg.box(low, middle - 5, high - low, 10, "interval", f"95 % {words.interval(estimate)}"))
    for number, value in enumerate(estimate.each, 1):
        title = f"repeat {number}: {words.number(value, estimate.unit)}"
        parts.append(svg.tag("circle", *svg.hover(title), cx=x(value), cy=middle, r=3.5, class_="hollow"))
    if estimate.mean is not None:
        parts.append(_diamond(x(estimate.mean), middle, 6, f"mean {words.mean(estimate)}"))
    if estimate.worst is not None:
        at, title = x(estimate.worst), f"worst seen {words.worst(estimate)}\n{estimate.worst_where}".rstrip()
        arrow = "m10 -4h8m-3 -3l3 3l-3 3" if estimate.worst_censored else ""
        parts.append(svg.path(f"M{at - 4:.1f} {middle - 4}l8 8m0 -8l-8 8{arrow}", "cross", title))
    said = f"mean {words.mean(estimate)}, worst seen {words.worst(estimate)}, bound {words.bound(high_s, allowance_s)}"
    return svg.chart(STRIP, _STRIP_HEIGHT, said, svg.tag("g", *parts, class_=f"arm{tone}"), class_="strip")


def strip_axis(x: svg.Scale) -> Markup:
    """The ticks above the strips."""
    ticks = x.ticks(6)
    said = [svg.text(x(t), 11, f"{words.seconds(t)}{' s' if t == ticks[-1] else ''}", "middle", "tick") for t in ticks]
    marks = [svg.line(x(t), 15, x(t), 19, "axis") for t in ticks]
    return svg.chart(STRIP, 19, "axis in seconds", *said, *marks, class_="strip")


class Bar(NamedTuple):
    """One arm's phases."""

    arm: str
    tone: int
    phases: Sequence[PhaseMean]


def where_it_goes(bars: Sequence[Bar]) -> Markup:
    """Each arm's mean, split into its phases, above what the settings allow for each."""
    left, row = 30 + max(8.6 * len(bar.arm) for bar in bars), 62.0
    totals = [sum((getattr(p, of) or 0.0) for p in bar.phases) for bar in bars for of in ("mean_s", "high_s")]
    x = svg.Scale(0, max([*totals, 0.01]) * 1.02, left, _WIDTH - 20)
    bottom = row * len(bars)
    parts = [_grid_x(x, 0, bottom, "seconds")]
    for index, bar in enumerate(bars):
        y = index * row + 6
        parts.append(
            svg.tag(
                "g",
                svg.text(left - 10, y + 18, bar.arm, "end", "name"),
                svg.text(left - 10, y + 41, "at most", "end", "tick"),
                *_segments(bar, x, y, 27, "mean_s"),
                *_segments(bar, x, y + 30, 16, "high_s"),
                class_=f"arm{bar.tone}",
            )
        )
    said = "; ".join(
        f"{bar.arm}: " + ", ".join(f"{p.name} {words.number(p.mean_s, 's')}" for p in bar.phases) for bar in bars
    )
    return svg.chart(_WIDTH, bottom + 44, f"Where the mean goes. {said}", *parts)


def _segments(bar: Bar, x: svg.Scale, y: float, height: float, of: str) -> list[Markup]:
    parts, at = [], 0.0
    for index, phase in enumerate(bar.phases):
        value = getattr(phase, of) or 0.0
        start, width = x(at), x(at + value) - x(at)
        at += value
        title = f"{phase.name}: {words.number(phase.mean_s, 's')}, at most {words.number(phase.high_s, 's')}"
        shade = f"shade{min(index, 3)}" if of == "mean_s" else "outline"
        parts.append(svg.box(start, y, width, height, shade, title))
        choices = (f"{phase.name} {words.number(value, 's')}", phase.name, words.number(value, "s"))
        said = next((choice for choice in choices if len(choice) * 6.6 + 8 < width), "")
        if said:
            ink = f"on{min(index, 3)}" if of == "mean_s" else "tick"
            parts.append(svg.text(start + width / 2, y + height / 2 + 4, said, "middle", f"inside {ink}"))
    return parts


def forest(items: Sequence[Difference]) -> Markup:
    """Paired differences of one unit: each pair, their mean and its interval, against no difference."""
    unit, row, top = items[0].estimate.unit, 46.0, 24.0
    estimates = [item.estimate for item in items]
    values = [value for e in estimates for value in (*e.each, e.mean, e.low, e.high) if value is not None]
    reach = max([abs(value) for value in values] + [0.01]) * 1.1
    x = svg.Scale(-reach, reach, 20, _WIDTH - 20)
    bottom = top + row * len(items)
    parts = [
        _grid_x(x, top, bottom, f"difference in {words.UNITS.get(unit, unit)}"),
        svg.line(x(0), top - 6, x(0), bottom, "zero"),
    ]
    arms = {(item.first, item.second) for item in items}
    if len(arms) == 1:
        first, second = next(iter(arms))
        parts += [
            svg.text(x(0) - 12, 12, f"\N{LEFTWARDS ARROW} {first} has less", "end", "tick"),
            svg.text(x(0) + 12, 12, f"{second} has less \N{RIGHTWARDS ARROW}", "start", "tick"),
        ]
    for index, item in enumerate(items):
        parts.append(_forest_row(item, x, top + index * row))
    said = "; ".join(f"{item.first} minus {item.second}: {words.mean(item.estimate)}" for item in items)
    return svg.chart(_WIDTH, bottom + 44, f"Paired differences. {said}", *parts)


def _forest_row(item: Difference, x: svg.Scale, y: float) -> Markup:
    estimate, middle = item.estimate, y + 32
    name = words.short(words.measure(item.measure, estimate.unit))
    right = estimate.mean is None or estimate.mean < 0  # the words stand where the marks do not
    edge = x(0) + 12 if right else x(0) - 12
    said = f"{item.first} \N{MINUS SIGN} {item.second}, {name}: {words.typeset(words.mean(estimate))}"
    parts = [svg.text(edge, middle + 4, said, "start" if right else "end", "name plain halo")]
    if estimate.low is not None and estimate.high is not None:
        low, high = x(estimate.low), x(estimate.high)
        parts.append(svg.line(low, middle, high, middle, "whisker", f"95 % {words.interval(estimate)}"))
        parts += [svg.line(end, middle - 6, end, middle + 6, "whisker") for end in (low, high)]
    for number, value in enumerate(estimate.each, 1):
        title = f"pair {number}: {words.number(value, estimate.unit)}"
        parts.append(svg.tag("circle", *svg.hover(title), cx=x(value), cy=middle - 11, r=3.5, class_="hollow"))
    if estimate.mean is not None:
        parts.append(_diamond(x(estimate.mean), middle, 7, words.mean(estimate)))
    return svg.tag("g", *parts, class_="neutral")


def _diamond(x: float, y: float, size: float, title: str) -> Markup:
    return svg.polygon([(x - size, y), (x, y - size), (x + size, y), (x, y + size)], "diamond", title)
