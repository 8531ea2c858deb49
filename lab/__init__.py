"""Boring Lab: what a scenario script imports, together with lab.faults, lab.systems and lab.measures.

Names are loaded when they are first asked for, so that `import lab` and `lab --help` cost nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.load import HttpClients
    from lab.objectives import bound, difference, mean, median, total, worst
    from lab.scenario import Arm, Scenario, Strike
    from lab.selectors import every, leader, named, one, some
    from lab.writers import SqlWriters

_HOME = {
    "HttpClients": "lab.load",
    **dict.fromkeys(("bound", "difference", "mean", "median", "total", "worst"), "lab.objectives"),
    **dict.fromkeys(("Arm", "Scenario", "Strike"), "lab.scenario"),
    **dict.fromkeys(("every", "leader", "named", "one", "some"), "lab.selectors"),
    "SqlWriters": "lab.writers",
}

__all__ = [
    "Arm",
    "HttpClients",
    "Scenario",
    "SqlWriters",
    "Strike",
    "bound",
    "difference",
    "every",
    "leader",
    "mean",
    "median",
    "named",
    "one",
    "some",
    "total",
    "worst",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'lab' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
