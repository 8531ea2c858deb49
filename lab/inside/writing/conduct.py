"""How the clients of a route behave: its settings, apart from those of its path."""

from __future__ import annotations

from typing import Any, NamedTuple

HOLDS = ("pooled", "reconnecting")
DEADLINES = ("close", "cancel", "wait")
ACKNOWLEDGES = ("commit", "statement")


class Conduct(NamedTuple):
    """Settings that every route has."""

    hold: str = "pooled"
    deadline_s: float = 1.0
    """From the intended start of a write."""
    on_deadline: str = "close"
    connect_timeout_s: float = 2
    """Of each host that is tried; libpq takes whole seconds, and at least 2."""
    tcp_user_timeout_s: float = 1.5
    acknowledge: str = "commit"
    retries: int = 0
    """After a failure of which nobody knows whether the write was done."""
    retry_pause_s: float = 0.02
    user: str = "app"
    database: str = "lab"


def split(settings: dict[str, Any]) -> tuple[Conduct, dict[str, Any]]:
    """A route's settings: what is conduct, and what is left for its path. Raises ValueError."""
    conduct = Conduct(**{name: settings[name] for name in Conduct._fields if name in settings})
    for name, known in (("hold", HOLDS), ("on_deadline", DEADLINES), ("acknowledge", ACKNOWLEDGES)):
        if getattr(conduct, name) not in known:
            raise ValueError(f"{name}={getattr(conduct, name)!r}: one of {', '.join(known)}")
    return conduct, {name: value for name, value in settings.items() if name not in Conduct._fields}
