"""However clients find the new primary, they write again within the bound of their route."""

from lab import Arm, Scenario, SqlWriters, Strike, bound, leader, worst
from lab.faults import Crash
from lab.measures import outage_s
from lab.routes import ByDns, ByHaProxy, ByZooKeeper, MultiHost
from lab.systems import HaProxy, Patroni, Postgres, PrimaryRegistrar, ZooKeeper

patroni = Arm(
    "patroni",
    Postgres(standbys=2),
    ZooKeeper(servers=1, session_timeout_s=4, tick_s=0.2),
    Patroni(ttl_s=20, loop_wait_s=1, retry_timeout_s=3, session_s=4),
    PrimaryRegistrar(ttl_s=2),
    HaProxy(),
    routes=[MultiHost(), ByDns(), ByZooKeeper(), ByHaProxy()],
)

scenario = Scenario(
    arms=[patroni],
    load=SqlWriters(rate_per_s=100, pool=12),
    strikes=[Strike(Crash(), target=leader("postgres"))],
    objectives=[worst(outage_s) <= bound()],
    repeats=4,
)
