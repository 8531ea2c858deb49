"""Patroni promotes another server within what its settings promise, after a crash and after a silent death.

The arm `short_session` lets the ZooKeeper server cut Patroni's session down to 4 s, of which Patroni knows nothing:
quick, but its rule that a leader demotes itself before its lease ends is then void.
"""

from lab import Arm, Scenario, SqlWriters, Strike, bound, leader, worst
from lab.faults import Crash, PowerLoss
from lab.measures import outage_s
from lab.routes import MultiHost
from lab.systems import Patroni, Postgres, ZooKeeper

postgres = Postgres(standbys=2)
ttl20 = Arm(
    "ttl20",
    postgres,
    ZooKeeper(servers=1, session_timeout_s=10, tick_s=1),
    Patroni(ttl_s=20, loop_wait_s=1, retry_timeout_s=3),
    routes=[MultiHost()],
)
short_session = Arm(
    "short_session",
    postgres,
    ZooKeeper(servers=1, session_timeout_s=4, tick_s=0.2),
    Patroni(ttl_s=20, loop_wait_s=1, retry_timeout_s=3, session_s=4),
    routes=[MultiHost()],
)

scenario = Scenario(
    arms=[ttl20, short_session],
    load=SqlWriters(rate_per_s=100),
    strikes=[
        Strike(Crash(), target=leader("postgres"), for_s=26),
        Strike(PowerLoss(), target=leader("postgres"), at_s=38),
    ],
    objectives=[worst(outage_s) <= bound()],
    repeats=2,
)
