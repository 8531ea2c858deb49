"""When the primary's host dies silently, writes come back within the bound; synchronous replication loses none."""

from lab import Arm, Scenario, SqlWriters, Strike, bound, leader, total, worst
from lab.faults import PowerLoss
from lab.measures import lost_writes, outage_s
from lab.routes import MultiHost
from lab.systems import Controller, Postgres

routes = [MultiHost()]
asynchronous = Arm("async", Postgres(standbys=2), Controller(), routes=routes)
synchronous = Arm("sync", Postgres(standbys=2, replication="sync"), Controller(), routes=routes)

scenario = Scenario(
    arms=[asynchronous, synchronous],
    load=SqlWriters(rate_per_s=100),
    strikes=[Strike(PowerLoss(), target=leader("postgres"))],
    objectives=[
        worst(outage_s) <= bound(),
        total(lost_writes, arm=synchronous) <= 0,
    ],
    repeats=4,
)
