"""When a whole site is lost, the primary and the link to its standbys, no acknowledged write is lost.

It holds with synchronous replication. Asynchronously, what was still on its way over the link (100 ms here) is gone:
that arm is a demonstration.
"""

from lab import Arm, Scenario, SqlWriters, Strike, leader, total
from lab.faults import SiteLoss
from lab.measures import lost_writes
from lab.routes import MultiHost
from lab.systems import Controller, Postgres

routes = [MultiHost(deadline_s=1)]
asynchronous = Arm("async", Postgres(standbys=2, lag_ms=100), Controller(), routes=routes)
synchronous = Arm("sync", Postgres(standbys=2, lag_ms=100, replication="sync"), Controller(), routes=routes)

async_loses_none = total(lost_writes, arm=asynchronous) <= 0
sync_loses_none = total(lost_writes, arm=synchronous) <= 0

scenario = Scenario(
    arms=[asynchronous, synchronous],
    load=SqlWriters(rate_per_s=100, pool=40),  # a synchronous commit takes 0.2 s here: 20 of them are under way
    strikes=[Strike(SiteLoss(), target=leader("postgres"))],
    objectives=[async_loses_none, sync_loses_none],
    expects={async_loses_none: "no"},
    repeats=4,
)
