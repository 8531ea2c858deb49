"""A server of the database: a supervisor, and PostgreSQL (or Patroni, which runs PostgreSQL) as its child.

It unpacks the baked data directory, writes the configuration, starts the server, looks at it every few milliseconds and
records every change, every notable line of its log, and what its table holds before a rewind takes rows away. What died
by itself it never starts again. SIGTERM: the server is shut down in order, then the supervisor ends.

    places      paths and users                      settings    the environment, and lab.conf
    storage     the data directory                   child       the process, its output, its end
    watch       the server's state, edge by edge     lines       notable lines of logs
    peers       who else leads                       rejoin      rows, rewind, rebuild
    patroni     Patroni's configuration, command and log (LAB_MANAGER=patroni)
    supervisor  boot, control, the whole

Control (lab.inside.control): {"do": "status"} -> {ok, node, state, timeline, lsn, receive_lsn, upstream, receiving,
streaming, sync, incarnation, manager_running, running, answered_ns}; {"do": "wipe"}; {"do": "start"}: from nothing;
{"do": "resume"}: from what is there; {"do": "rejoin", "upstream": node} -> {ok, how}; {"do": "switchover", "to": node
or ""} -> {ok, said}: by Patroni.
LSNs are whole numbers: bytes since 0/0.
Events (writer database/NODE): database.state, server.log, manager.log, rows, lag, stall.
"""

from __future__ import annotations


def main() -> None:
    """Supervise until SIGTERM."""
    from lab.inside.database.supervisor import run

    run()
