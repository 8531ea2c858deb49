"""A primary that is cut off from its standbys, but not from its clients, never acknowledges beside the new one.

It holds where the old primary is fenced first, and where it replicates synchronously (its commits hang); it does not
where it replicates asynchronously and nobody fences it: that arm is a demonstration.
"""

from lab import Arm, Scenario, SqlWriters, Strike, leader, total
from lab.faults import Partition
from lab.measures import split_brain_writes
from lab.routes import MultiHost
from lab.systems import Controller, Postgres

routes = [MultiHost(), MultiHost(hold="reconnecting")]
unfenced = Arm("async_unfenced", Postgres(standbys=2), Controller(), routes=routes)
fenced = Arm("async_fenced", Postgres(standbys=2), Controller(fence="read_only"), routes=routes)
synchronous = Arm("sync_unfenced", Postgres(standbys=2, replication="sync"), Controller(), routes=routes)

unfenced_never = total(split_brain_writes, arm=unfenced) <= 0
fenced_never = total(split_brain_writes, arm=fenced) <= 0
sync_never = total(split_brain_writes, arm=synchronous) <= 0

scenario = Scenario(
    arms=[unfenced, fenced, synchronous],
    load=SqlWriters(rate_per_s=50),
    strikes=[Strike(Partition(away_from=("postgres", "controller")), target=leader("postgres"))],
    objectives=[unfenced_never, fenced_never, sync_never],
    expects={unfenced_never: "no"},
    watch_s=3.0,
    repeats=4,
)
