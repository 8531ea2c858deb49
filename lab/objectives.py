"""Objectives: what a claim comes to, written as a comparison of a measure with a number or with the configured bound.

One syntax everywhere: `worst(dead_but_listed_s) <= bound()`, `median(dead_but_listed_s, arm=dns) < 5`,
`difference(dead_but_listed_s, zookeeper, dns) < 0`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

from lab.errors import BadInput
from lab.measures import Measure

Operator = Literal["<", "<=", ">", ">="]
Name = Literal["worst", "median", "mean", "total", "difference"]


class Named(Protocol):
    """An arm, as far as objectives care."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """What the arm's own settings promise for the change in question."""

    is_bound: ClassVar[bool] = True

    def __str__(self) -> str:
        return "bound()"


@dataclass(frozen=True, slots=True)
class Objective:
    """One comparison; yes, no or unknown per arm, or once for a difference of two arms."""

    reduction: Name
    measure: Measure
    operator: Operator
    right: float | Bound
    arm: str = ""
    """The one arm it asks about; empty: every arm, each by itself."""
    first: str = ""
    second: str = ""

    def __post_init__(self) -> None:
        if self.operator not in get_args(Operator) or self.reduction not in get_args(Name):
            raise BadInput(f"objective: {self.reduction!r} {self.operator!r} is not a reduction and a comparison")
        if isinstance(self.right, Bound):
            if self.reduction == "difference":
                raise BadInput(f"{self}: a difference has no bound; compare it with a number")
            if self.reduction == "total":
                raise BadInput(f"{self}: a total has no bound, for a bound is one change's; compare it with a number")
            if not self.measure.bounded_by:
                raise BadInput(f"{self}: no setting bounds {self.measure.name}; compare it with a number")
        elif isinstance(self.right, bool) or not isinstance(self.right, int | float) or not math.isfinite(self.right):
            raise BadInput(f"{self}: the right side is neither a number nor bound()")

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms it names; empty: it asks every arm."""
        return tuple(name for name in (self.arm, self.first, self.second) if name)

    def __bool__(self) -> bool:
        raise BadInput(
            f"{self}: an objective has no truth before it is measured; "
            "write each comparison by itself (not a < x < b, and, or, not)"
        )

    def __str__(self) -> str:
        right = f"{self.right:g}" if isinstance(self.right, int | float) else self.right
        return f"{_left(self.reduction, self.measure, self.arm, self.first, self.second)} {self.operator} {right}"


@dataclass(frozen=True, slots=True)
class Reduction:
    """The left side of an objective: a measure reduced to one number; compare it to get an Objective."""

    reduction: Name
    measure: Measure
    arm: str = ""
    first: str = ""
    second: str = ""

    def __lt__(self, right: float | Bound) -> Objective:
        return self._compare("<", right)

    def __le__(self, right: float | Bound) -> Objective:
        return self._compare("<=", right)

    def __gt__(self, right: float | Bound) -> Objective:
        return self._compare(">", right)

    def __ge__(self, right: float | Bound) -> Objective:
        return self._compare(">=", right)

    def __bool__(self) -> bool:
        raise BadInput(f"{self}: compare it with a number or bound(), e.g. {self} < 5")

    def __str__(self) -> str:
        return _left(self.reduction, self.measure, self.arm, self.first, self.second)

    def _compare(self, operator: Operator, right: float | Bound) -> Objective:
        return Objective(self.reduction, self.measure, operator, right, self.arm, self.first, self.second)


def bound() -> Bound:
    """What the settings of each arm promise for this change (`lab bound` prints it), plus the printed allowance."""
    return Bound()


def worst(measure: Measure, arm: Named | str = "") -> Reduction:
    """The worst single value seen: in every arm, or in one."""
    return _reduce("worst", measure, arm)


def median(measure: Measure, arm: Named | str = "") -> Reduction:
    """The median of the trials' medians."""
    return _reduce("median", measure, arm)


def mean(measure: Measure, arm: Named | str = "") -> Reduction:
    """The mean of the trials' means."""
    return _reduce("mean", measure, arm)


def total(measure: Measure, arm: Named | str = "") -> Reduction:
    """The sum over all trials."""
    return _reduce("total", measure, arm)


def difference(measure: Measure, first: Named | str, second: Named | str) -> Reduction:
    """The mean of first - second over pairs of trials that share a seed."""
    _check(measure)
    one, other = _name(first), _name(second)
    if one == other:
        raise BadInput(f"difference({measure.name}, {one}, {other}): name two different arms")
    return Reduction("difference", measure, first=one, second=other)


def _reduce(name: Name, measure: Measure, arm: Named | str) -> Reduction:
    _check(measure)
    return Reduction(name, measure, arm=_name(arm) if arm != "" else "")


def _check(measure: object) -> None:
    if not isinstance(measure, Measure):
        raise BadInput(f"objective: {measure!r} is not a measure; import one from lab.measures")


def _name(arm: Named | str) -> str:
    name = arm if isinstance(arm, str) else getattr(arm, "name", None)
    if not isinstance(name, str) or not name:
        raise BadInput(f"objective: {arm!r} is not an arm; give the Arm or its name")
    return name


def _left(reduction: str, measure: Measure, arm: str, first: str, second: str) -> str:
    inside = [measure.name, *([f"arm={arm}"] if arm else []), *([first, second] if first else [])]
    return f"{reduction}({', '.join(inside)})"
