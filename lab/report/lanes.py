"""Who acknowledged, second by second: one lane a database server of one trial, over what it was."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from lab.report import svg, words
from lab.result import Lane, TrialResult

_WIDTH = 960.0
_LEFT = 104.0
_BARS = 46.0
_BAND = 15.0
_LABEL = 15.0
_APART = 3.0
"""Pixels between two marks that are told apart."""
_AT_ONCE_S = 0.005
"""A mark so near to 0 is the strike's own, and needs no time beside it."""
_BEFORE_S = 5.0
"""Seconds before the strike that are shown; a long baseline says nothing more."""
_STATES = {"primary": "primary", "read_only": "read-only", "standby": "standby", "down": "down"}


class Split(NamedTuple):
    """From the promotion of the new primary to the last acknowledgement of the old one."""

    loser: str
    start_s: float
    end_s: float


def lanes(trial: TrialResult, tone: int) -> Markup:
    """The lanes of one trial, every one on the same axes."""
    split, x = split_of(trial), _scale(trial)
    most = max((count for lane in trial.lanes for _, count in lane.acknowledged), default=1.0)
    width_s = _width_s(trial.lanes)
    parts: list[Markup] = []
    y = 22.0 if split else 6.0
    first = y
    for lane in trial.lanes:
        block, y = _lane(lane, x, y, most, width_s, split)
        parts.append(block)
    grid = [svg.line(x(tick), first, x(tick), y, "grid") for tick in x.ticks(14)]
    grid += [svg.text(x(tick), y + 15, words.typeset(words.seconds(tick)), "middle", "tick") for tick in x.ticks(14)]
    shade = _shade(split, x, y) if split else []
    since = svg.text((x.start + x.end) / 2, y + 34, "seconds since the strike", "middle", "tick")
    drawn = svg.tag("g", *grid, *shade, *parts, since, class_=f"arm{tone}")
    return svg.chart(_WIDTH, y + 40, _said(trial, split), drawn)


def split_of(trial: TrialResult) -> Split | None:
    """When two acknowledged, as far as the trial tells: the promotion's mark, and how long the loser went on."""
    lasts_s = max((float(one["value"]) for one in trial.samples if one.get("measure") == "split_brain_s"), default=0.0)
    loser = next((account.loser for account in trial.accounts if account.loser), "")
    others = [lane for lane in trial.lanes if lane.node != loser]
    promoted = [float(at) for lane in others for at, name in lane.marks if name == "promoted"]
    return Split(loser, min(promoted), min(promoted) + lasts_s) if lasts_s > 0 and promoted else None


def _said(trial: TrialResult, split: Split | None) -> str:
    of = [f"{lane.node} {words.count(round(sum(count for _, count in lane.acknowledged)))}" for lane in trial.lanes]
    both = f" Two acknowledged for {words.number(split.end_s - split.start_s, 's')}." if split else ""
    return f"Acknowledgements of trial {trial.trial} by server: {', '.join(of)}.{both}"


def _scale(trial: TrialResult) -> svg.Scale:
    spans = [float(edge) for lane in trial.lanes for span in lane.spans for edge in span[:2]]
    seconds = [float(at) for lane in trial.lanes for at, _ in (*lane.acknowledged, *lane.marks)]
    low, high = min([*spans, *seconds, 0.0]), max([*spans, *(at + 1 for at in seconds), 1.0])
    return svg.Scale(max(low, -_BEFORE_S), high, _LEFT, _WIDTH - 10)


def _width_s(lanes_: Sequence[Lane]) -> float:
    """How long a bar's time is: the least distance between two, 1 s where there is only one."""
    seconds = sorted({at for lane in lanes_ for at, _ in lane.acknowledged})
    return min((after - at for at, after in pairwise(seconds)), default=1.0)


def _lane(lane: Lane, x: svg.Scale, y: float, most: float, width_s: float, split: Split | None) -> tuple[Markup, float]:
    marks = _marks(lane, x)
    busy = any(count for _, count in lane.acknowledged)  # a standby has no bars, and needs no room for them
    top = y + _LABEL * (1 + max((mark.row for mark in marks), default=-1))
    bottom = top + (_BARS if busy else 4)
    parts = [svg.text(x.start - 10, bottom + 12, lane.node, "end", "name plain")]
    if busy:
        parts += [
            svg.text(x.start - 10, top + 9, f"{most / width_s:.0f}/s", "end", "tick small"),
            svg.line(x.start, top, x.end, top, "grid"),
            svg.line(x.start, bottom, x.end, bottom, "axis"),
        ]
    parts += _bars(lane, x, bottom, most, width_s, split)
    for start_s, end_s, state, timeline in lane.spans:
        parts += _span(lane.node, float(start_s), float(end_s), str(state), timeline, x, bottom + 1)
    for mark in marks:  # each line comes down from its own word; later words stand lower, so none is crossed
        above = y + mark.row * _LABEL
        parts.append(svg.line(mark.at, above + 1, mark.at, bottom + _BAND + 1, "edge thin"))
    for mark in marks:
        beside, anchor = (-4, "end") if mark.left else (4, "start")
        parts.append(svg.text(mark.at + beside, y + mark.row * _LABEL + 10, mark.said, anchor, "small halo"))
    return svg.tag("g", *parts), bottom + _BAND + 14


def _bars(lane: Lane, x: svg.Scale, bottom: float, most: float, width_s: float, split: Split | None) -> list[Markup]:
    parts = []
    for at, count in lane.acknowledged:
        start, end = max(x(at), x.start), min(x(at + width_s), x.end)
        if end <= x.start or not count:
            continue
        height = _BARS * count / most
        losing = split is not None and lane.node == split.loser and at >= split.start_s
        when = f"{words.seconds(at)} s to {words.seconds(at + width_s)} s"
        title = f"{lane.node}, {when}: {words.count(round(count))} acknowledged"
        parts.append(svg.box(start, bottom - height, end - start, height, "losing" if losing else "acks", title))
    return parts


def _span(
    node: str, start_s: float, end_s: float, state: str, timeline: object, x: svg.Scale, y: float
) -> list[Markup]:
    start, end = max(x(start_s), x.start), min(x(end_s), x.end)
    if end <= start:
        return []
    word = _STATES.get(state, state)
    on = f", timeline {timeline}" if timeline and state != "down" else ""
    title = f"{node}: {word}{on}, {start_s:.3f} s to {end_s:.3f} s"
    known = state if state in _STATES else "other"
    parts = [svg.box(start, y, end - start, _BAND, f"role role-{known.replace('_', '-')}", title)]
    said = next((choice for choice in (word + on, word) if len(choice) * 6.1 + 8 < end - start), "")
    if said:
        ink = "on0" if state in ("primary", "read_only") else "tick"
        parts.append(svg.text(start + 5, y + 11, said, "start", f"inside small {ink}"))
    return parts


class _Mark(NamedTuple):
    """One mark with its words; `left`: they stand left of it, for want of room."""

    at: float
    said: str
    row: int
    left: bool


def _marks(lane: Lane, x: svg.Scale) -> list[_Mark]:
    """The marks in view, their words in as many rows as they need not to touch."""
    marks, ends = [], [0.0]
    for group in _together(lane, x):
        at = x(group[0][0])
        said = ", ".join(name if abs(t) < _AT_ONCE_S else f"{name} {words.number(t, 's')}" for t, name in group)
        width = len(said) * 6.3 + 12
        left = at + width > _WIDTH
        start = at - width if left else at
        row = next((index for index, taken in enumerate(ends) if taken <= start), len(ends))
        ends[row : row + 1] = [start + width]
        marks.append(_Mark(at, words.typeset(said), row, left))
    return marks


def _together(lane: Lane, x: svg.Scale) -> list[list[tuple[float, str]]]:
    """Marks in view in order of time; those that no eye could tell apart share a line."""
    groups: list[list[tuple[float, str]]] = []
    for at_s, name in sorted((float(at_s), str(name)) for at_s, name in lane.marks):
        if not x.start <= x(at_s) <= x.end:
            continue
        if groups and x(at_s) - x(groups[-1][0][0]) < _APART:
            groups[-1].append((at_s, name))
        else:
            groups.append([(at_s, name)])
    return groups


def _shade(split: Split, x: svg.Scale, y: float) -> list[Markup]:
    start, end = x(split.start_s), min(x(split.end_s), x.end)
    lasts = words.number(split.end_s - split.start_s, "s")
    said = f"a losing primary acknowledged for {lasts}"
    fits = start + len(said) * 7 < _WIDTH
    return [
        svg.box(start, 4, end - start, y - 4, "split", said),
        svg.text(start if fits else end, 14, said, "start" if fits else "end", "lost halo"),
    ]
