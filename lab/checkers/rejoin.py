"""How long after the heal it took until every server streamed from the primary again.

Where nobody does that by himself, the lab orders it at the end of a trial (`rejoin.begin`), and it counts from there.
"""

from __future__ import annotations

from lab.checkers.database import LEADS, Database, database_of
from lab.checkers.truth import Ref, S
from lab.history import History
from lab.measures import rejoin_s
from lab.verdict import Sample, Valid, Verdict

NAME = "rejoin"


def check(history: History) -> Verdict:
    """One sample a trial; censored where somebody never streamed again, unknown where nobody had to."""
    database = database_of(history)
    if not database.blows or len(database.servers) < 2:
        return Verdict(NAME, Valid.UNKNOWN, ("nothing was struck: nobody had to come back",))
    healed = max(blow.heal for blow in database.blows)
    start_ns = healed.after_ns
    last_ns = max((event.t_ns for event in history.events[-1:]), default=start_ns)
    edges = sorted({c.before_ns for its in database.conditions.values() for c in its if c.before_ns > start_ns})
    behind_at_heal = behind(database, start_ns)
    if not behind_at_heal and not any(behind(database, edge_ns) for edge_ns in edges):
        return Verdict(NAME, Valid.UNKNOWN, ("every server streamed all the time: nobody had to come back",))
    ordered_ns = next((event.t_ns for event in history.of("rejoin.begin")), start_ns)
    if behind(database, ordered_ns):  # by then nobody had come back by himself
        start_ns = max(start_ns, ordered_ns)
        edges = [edge_ns for edge_ns in edges if edge_ns > start_ns]
    was_behind = bool(behind(database, start_ns))
    end_ns: int | None = None
    for edge_ns in edges:
        now_behind = bool(behind(database, edge_ns))
        if was_behind and not now_behind:
            end_ns = edge_ns
        was_behind = now_behind
    evidence: tuple[Ref, ...] = tuple(blow.ref for blow in database.blows)
    if was_behind or end_ns is None:
        names = sorted(behind(database, last_ns))
        value_s = max(0.0, (last_ns - start_ns) / S)
        sample = Sample(rejoin_s.name, "", value_s, censored=True, evidence=evidence)
        return Verdict(NAME, Valid.YES, (), (sample,), {"never_streamed_again": names})
    width_s = (healed.before_ns - healed.after_ns) / S
    sample = Sample(rejoin_s.name, "", (end_ns - start_ns) / S, width_s=width_s, evidence=evidence)
    return Verdict(NAME, Valid.YES, (), (sample,), {"never_streamed_again": []})


def behind(database: Database, t_ns: int) -> frozenset[str]:
    """Who does not stream from the primary at an instant; everybody where nobody leads."""
    now = {node: database.at(node, t_ns) for node in database.servers}
    leading = [(c.timeline, node) for node, c in now.items() if c is not None and c.state in LEADS]
    if not leading:
        return frozenset(database.servers)
    _, leader = max(leading)
    return frozenset(
        node
        for node, c in now.items()
        if node != leader and (c is None or c.state != "standby" or not c.receiving or c.upstream not in (leader, None))
    )
