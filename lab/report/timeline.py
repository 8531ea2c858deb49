"""What was done to whom and when, and how long it showed: one block a trial, one line a node, all on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from lab.report import svg, words
from lab.report.waterfall import segments, told
from lab.result import ChangeResult, TrialResult

_WIDTH = 960.0
_LANE = 15.0
_SHOWN = ("baseline", "strike", "hold", "heal", "settle", "final")


def timeline(trials: Sequence[TrialResult], tones: Mapping[str, int]) -> Markup:
    """Every trial's phases, and per node the fault's edges, its heal, and how long some client had it wrong."""
    spans = [span for trial in trials for name, span in trial.phases_s.items() if name in _SHOWN]
    edges = [change.at_s for trial in trials for change in trial.changes]
    low = min([*(start for start, _ in spans), *edges, 0.0])
    high = max([*(end for _, end in spans), *(edge + 1 for edge in edges), 1.0])
    lanes = [_lane_name(change) for trial in trials for change in trial.changes]
    left = max(20 + max(len(_name(trial)) for trial in trials) * 8.6, 16 + max(map(len, lanes), default=0) * 6.6)
    x = svg.Scale(low, high, left, _WIDTH - 16)
    parts: list[Markup] = []
    y = 4.0
    for trial in trials:
        block, y = _block(trial, tones.get(trial.arm, 0), x, y)
        parts.append(block)
    axis = [svg.line(x(tick), 0, x(tick), y, "grid") for tick in x.ticks(12)]
    axis += [svg.text(x(tick), y + 16, words.typeset(words.seconds(tick)), "middle", "tick") for tick in x.ticks(12)]
    since = "seconds since the first strike of each trial" if edges else "seconds"
    said = svg.text((x.start + x.end) / 2, y + 36, since, "middle", "tick")
    return svg.chart(_WIDTH, y + 44, f"Timeline of {words.plural(len(trials), 'trial')}", *axis, *parts, said)


def _block(trial: TrialResult, tone: int, x: svg.Scale, y: float) -> tuple[Markup, float]:
    parts = [svg.text(x.start - 10, y + 12, _name(trial), "end", "name")]
    for name, (start, end) in trial.phases_s.items():
        if name not in _SHOWN:
            continue
        width = x(end) - x(start)
        parts.append(svg.box(x(start), y, width, 16, f"span span-{name}", f"{name}: {end - start:.2f} s"))
        if len(name) * 6.4 + 6 < width:
            parts.append(svg.text(x(start) + 5, y + 12, name, "start", "tick"))
    y += 20
    if trial.valid != "yes":
        parts.append(svg.text(x.start, y + 11, "not valid: counts nowhere", "start", "invalid"))
        y += 20
    names = list(dict.fromkeys(_lane_name(one) for one in sorted(trial.changes, key=lambda change: change.at_s)))
    for name in names:
        parts.append(svg.text(x.start - 10, y + 11, name, "end", "tick"))
        for change in (change for change in trial.changes if _lane_name(change) == name):
            parts += _change(change, trial, x, y)
        y += _LANE
    return svg.tag("g", *parts, class_=f"arm{tone}"), y + 12


def _name(trial: TrialResult) -> str:
    return f"trial {trial.trial} {trial.arm}"


def _lane_name(change: ChangeResult) -> str:
    """Of writes every route has its own lane: it met the same strike in its own way."""
    return f"{change.node} {change.route}".rstrip()


def _change(change: ChangeResult, trial: TrialResult, x: svg.Scale, y: float) -> list[Markup]:
    """The lane of one change: grey while dead, coloured while a client had it wrong, marks for the edges."""
    title, parts = said(change), []
    closed = max((end for _, end in trial.phases_s.values()), default=change.at_s)
    end = closed if change.healed_s is None else change.healed_s
    if change.effective_s is not None:
        parts.append(svg.box(x(change.effective_s), y + 11, x(end) - x(change.effective_s), 3, "dead", title))
    elif change.commanded_s is not None:
        parts.append(svg.text(x(change.commanded_s) + 8, y + 11, f"{change.kind}: no effect", "start", "name small"))
    start = change.at_s
    for one in (one for one in trial.waterfalls if one.change == change.change):
        start = change.at_s if one.first_failure_s is None else one.first_failure_s
        parts += segments(one, x, y + 1, 9, f"{title}\n{told(one)}")
    for name, values in change.values.items():
        if change.route or words.measure(name).unit != "s" or "worst" not in values:
            continue
        worst_s, mean_s = values["worst"], values.get("mean", values["worst"])
        open_ = " still wrong when its window closed" if values.get("censored") else ""
        about = f"{title}\n{words.short(words.measure(name))}: mean {mean_s:.3f} s, worst {worst_s:.3f} s{open_}"
        left = x(change.at_s)
        parts.append(svg.box(left, y + 2, x(change.at_s + worst_s) - left, 8, "wrong-worst", about))
        parts.append(svg.box(left, y + 2, x(change.at_s + mean_s) - left, 8, "wrong-mean", about))
    if change.bound_high_s is not None and start + change.bound_high_s <= x.high:
        at = x(start + change.bound_high_s)
        parts.append(svg.line(at, y, at, y + 14, "bound", f"{title}\nbound {change.bound_high_s:.2f} s"))
    if change.commanded_s is not None:
        at = x(change.commanded_s)
        parts.append(svg.polygon([(at - 4, y - 3), (at + 4, y - 3), (at, y + 3)], "commanded", title))
    if change.effective_s is not None:
        parts.append(svg.line(x(change.effective_s), y + 1, x(change.effective_s), y + 14, "edge", title))
    if change.healed_s is not None:
        at = x(change.healed_s)
        parts.append(svg.polygon([(at - 4, y + 17), (at + 4, y + 17), (at, y + 11)], "healed", title))
    return parts


def said(change: ChangeResult) -> str:
    """ "crash backend5: commanded at 1.2500 s, in effect 0.40 ms later (known to ± 0.20 ms), healed at 12.30 s"."""
    start = f"{change.kind} {change.node}{', ' if change.route else ''}{change.route}: "
    known = f" (known to \N{PLUS-MINUS SIGN} {change.width_s * 500:.2f} ms)"
    if change.commanded_s is None:
        return f"{start}at {change.at_s:.4f} s{known}"
    start += f"commanded at {change.commanded_s:.4f} s"
    if change.effective_s is None:
        return f"{start}, no effect was seen"
    start += f", in effect {(change.effective_s - change.commanded_s) * 1000:.2f} ms later{known}"
    return start if change.healed_s is None else f"{start}, healed at {change.healed_s:.2f} s"
