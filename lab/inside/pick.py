"""Whom to call: one instance out of a view, by the SRV rule of RFC 2782 or simply at random.

A rule is built once for a view and asked for every request, so the work is in the building.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random
from typing import NamedTuple, Protocol


class Instance(NamedTuple):
    """Where an instance of the service is said to be. `priority` and `weight` are those of an SRV record."""

    node: str
    address: str
    port: int
    priority: int = 0
    weight: int = 1


class Rule(Protocol):
    """Chooses one instance, with the client's own random numbers."""

    def choose(self, rng: Random) -> Instance: ...


class SrvRule:
    """RFC 2782: only the lowest priority; there a running sum of weights, against a number from 0 to their sum.

    The RFC leaves the order of the records open, except that weight 0 comes first. The number 0 picks the first
    record, so that a fixed order would favour one of them: here it picks one of those that may stand first at random.
    """

    __slots__ = ("_first", "_sums", "_total", "_weighted")

    def __init__(self, instances: Sequence[Instance]) -> None:
        lowest = min(instance.priority for instance in instances)
        group = [instance for instance in instances if instance.priority == lowest]
        self._weighted = [instance for instance in group if instance.weight > 0]
        self._first = [instance for instance in group if instance.weight <= 0] or self._weighted
        self._sums = list(accumulate(instance.weight for instance in self._weighted))
        self._total = self._sums[-1] if self._sums else 0

    def choose(self, rng: Random) -> Instance:
        """One instance of the lowest priority."""
        number = int(rng.random() * (self._total + 1))
        if number == 0:
            return self._first[int(rng.random() * len(self._first))]
        return self._weighted[bisect_left(self._sums, number)]


class RandomRule:
    """Every instance is equally likely, whatever its priority and weight."""

    __slots__ = ("_instances",)

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances

    def choose(self, rng: Random) -> Instance:
        """One instance of all."""
        return self._instances[int(rng.random() * len(self._instances))]


RULES: dict[str, Callable[[Sequence[Instance]], Rule]] = {"srv": SrvRule, "random": RandomRule}
"""By the name that the setting `pick` uses. A rule needs at least one instance."""
