"""A planned switchover loses no write, and nobody writes for less than 2 s."""

from lab import Arm, Scenario, SqlWriters, Strike, leader, total, worst
from lab.faults import Switchover
from lab.measures import lost_writes, outage_s
from lab.routes import MultiHost
from lab.systems import Controller, Patroni, Postgres, ZooKeeper

controller = Arm("controller", Postgres(standbys=2), Controller(), routes=[MultiHost()])
patroni = Arm(
    "patroni",
    Postgres(standbys=2),
    ZooKeeper(servers=1, session_timeout_s=10, tick_s=1),
    Patroni(ttl_s=20, loop_wait_s=1, retry_timeout_s=3),
    routes=[MultiHost()],
)

scenario = Scenario(
    arms=[controller, patroni],
    load=SqlWriters(rate_per_s=200),
    strikes=[Strike(Switchover(), target=leader("postgres"))],
    objectives=[
        worst(outage_s) < 2,
        total(lost_writes) <= 0,
    ],
    repeats=4,
)
