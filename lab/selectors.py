"""Selectors: whom a strike hits, as values. Names of nodes are role + number: backend3.

`one` and `some` are drawn while planning, from the seed; `every` and `named` need no draw. `leader` stays what it is in
the plan, "leader(postgres)": who leads is asked when the strike is due, and its events say whom it hit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.errors import BadInput

Kind = Literal["some", "every", "named", "leader"]


@dataclass(frozen=True, slots=True)
class Selector:
    """Whom a strike hits: `count` nodes of a role, every node of it, or nodes by name."""

    kind: Kind
    role: str = ""
    count: int = 0
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "named":
            if not self.names or not all(isinstance(name, str) and name for name in self.names):
                raise BadInput("target: named() needs the names of nodes, e.g. named('ns1')")
            if len(set(self.names)) < len(self.names):
                raise BadInput(f"target: {self} names a node twice")
        elif not isinstance(self.role, str) or not self.role:
            raise BadInput(f"target: {self.role!r} is not a role; e.g. 'backend'")
        if self.kind == "some" and (type(self.count) is not int or self.count < 1):
            raise BadInput(f"target: {self} must name how many nodes, at least 1")

    def candidates(self, nodes: Sequence[tuple[str, str]]) -> list[str]:
        """The nodes it may hit among (name, role) pairs. Raises BadInput when they are too few."""
        if self.kind == "named":
            known = {name for name, _ in nodes}
            for name in self.names:
                if name not in known:
                    raise BadInput(f"target: {self} matches nothing; nodes are {', '.join(sorted(known))}")
            return list(self.names)
        found = [name for name, role in nodes if role == self.role]
        if not found:
            roles = ", ".join(sorted({role for _, role in nodes}))
            raise BadInput(f"target: {self} matches nothing; roles are {roles}")
        if len(found) < self.count:
            raise BadInput(f"target: {self} asks for {self.count} nodes, but there are {len(found)}")
        return found

    def draw(self, nodes: Sequence[tuple[str, str]], rank: Callable[[str], float]) -> list[str]:
        """The nodes it hits. `rank` gives each node a number from the seed: the lowest are hit, in that order.

        A node's number does not depend on the other nodes, so a draw of 3 is the beginning of a draw of 4.
        """
        found = self.candidates(nodes)
        if self.kind == "leader":
            return [str(self)]
        return sorted(found, key=rank)[: self.count] if self.kind == "some" else found

    def may_meet(self, other: Selector, nodes: Sequence[tuple[str, str]]) -> list[str]:
        """Nodes that both may hit."""
        theirs = set(other.candidates(nodes))
        return [name for name in self.candidates(nodes) if name in theirs]

    def __str__(self) -> str:
        if self.kind == "named":
            return f"named({', '.join(map(repr, self.names))})"
        if self.kind == "some" and self.count == 1:
            return f"one({self.role!r})"
        if self.kind == "leader":
            return f"leader({self.role})"
        return f"{self.kind}({self.role!r}{f', {self.count}' if self.kind == 'some' else ''})"


def one(role: str) -> Selector:
    """One node of a role, drawn from the seed."""
    return Selector("some", role, 1)


def some(role: str, count: int) -> Selector:
    """`count` different nodes of a role, drawn from the seed."""
    return Selector("some", role, count)


def every(role: str) -> Selector:
    """Every node of a role, in order of their number."""
    return Selector("every", role)


def named(*names: str) -> Selector:
    """Nodes by name."""
    return Selector("named", names=names)


def leader(role: str) -> Selector:
    """The node of a role that leads when the strike is due."""
    return Selector("leader", role)


def leading_role(target: str) -> str:
    """The role in a planned target "leader(postgres)"; empty for the name of a node."""
    return target.removeprefix("leader(").removesuffix(")") if target.startswith("leader(") else ""
