"""The smallest pieces of a chart: an escaped tag, a scale, round ticks, a path. Coordinates are pixels of the view box.

Colours come from the page's style sheet by class (`arm0`, `arm1`, ... set the colour of what is inside), so that one
drawing serves light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

Attribute = str | float | int


def tag(name: str, *inside: Markup | str, **attributes: Attribute) -> Markup:
    """One element; text and attributes are escaped, `stroke_width` is written stroke-width, `class_` class."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(item)}"' for key, item in attributes.items())
    if not inside:
        return Markup(f"<{name}{written}/>")  # every part is escaped above
    return Markup(f"<{name}{written}>{''.join(escape(part) for part in inside)}</{name}>")


def chart(width: float, height: float, label: str, *inside: Markup, class_: str = "chart") -> Markup:
    """A whole drawing; `label` says in words what it shows."""
    return tag(
        "svg", *inside, viewBox=f"0 0 {width:g} {height:g}", class_=class_, role="img", aria_label=label,
        preserveAspectRatio="xMinYMin meet",
    )  # fmt: skip


def text(x: float, y: float, said: str, anchor: str = "start", class_: str = "") -> Markup:
    """Words at a point; anchor: start, middle or end."""
    return tag("text", said, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str, title: str = "") -> Markup:
    """A straight line; `title` shows while the pointer rests on it."""
    return tag("line", *hover(title), x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def box(x: float, y: float, width: float, height: float, class_: str, title: str = "") -> Markup:
    """A rectangle, never of negative size."""
    return tag("rect", *hover(title), x=x, y=y, width=max(0.0, width), height=max(0.0, height), class_=class_)


def path(points: str, class_: str, title: str = "") -> Markup:
    """A path from its commands."""
    return tag("path", *hover(title), d=points, class_=class_)


def hover(title: str) -> tuple[Markup, ...]:
    """What shows while the pointer rests on an element; nothing for no words."""
    return (tag("title", title),) if title else ()


class Scale(NamedTuple):
    """Maps low..high of a value to start..end in pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.0
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 8) -> list[float]:
        """Round values inside the scale: steps of 1, 2 or 5 times a power of ten, about so many."""
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        raw = span / about
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 10) for index in range(first, last + 1)]


def steps(points: Sequence[tuple[float, float]], x: Scale, y: Scale, end: float) -> str:
    """The commands of a staircase: each value holds until the next point, the last one until `end`."""
    commands = [f"M{_value(x(points[0][0]))} {_value(y(points[0][1]))}"]
    for t, value in points[1:]:
        commands.append(f"H{_value(x(t))}V{_value(y(value))}")
    return "".join([*commands, f"H{_value(x(end))}"])


def band(
    low: Sequence[tuple[float, float]], high: Sequence[tuple[float, float]], x: Scale, y: Scale, end: float
) -> str:
    """The closed area between two staircases."""
    back: list[str] = []
    right = end
    for t, value in reversed(low):
        back.append(f"L{_value(x(right))} {_value(y(value))}H{_value(x(t))}")
        right = t
    return f"{steps(high, x, y, end)}{''.join(back)}Z"


def polygon(points: Iterable[tuple[float, float]], class_: str, title: str = "") -> Markup:
    """A closed shape."""
    written = " ".join(f"{_value(x)},{_value(y)}" for x, y in points)
    return tag("polygon", *hover(title), points=written, class_=class_)


def _value(item: Attribute) -> str:
    return str(escape(item)) if isinstance(item, str) else f"{round(item, 2):g}"
