"""When only the primary's Patroni dies, there are never two servers that acknowledge writes.

It does not hold (a demonstration): nobody demotes the Postgres that goes on without its Patroni. Clients that find it
themselves notice no outage at all and lose the most; HAProxy, which asks Patroni, keeps them from it at the price of
an outage for as long as the lease lasts. With synchronous replication the old primary waits for a standby that has
left, and acknowledges nothing.
"""

from lab import Arm, Scenario, SqlWriters, Strike, leader, total
from lab.faults import ManagerCrash
from lab.measures import split_brain_writes
from lab.routes import ByHaProxy, MultiHost
from lab.systems import HaProxy, Patroni, Postgres, ZooKeeper

dcs = ZooKeeper(servers=1, session_timeout_s=10, tick_s=1)
patroni = Patroni(ttl_s=20, loop_wait_s=1, retry_timeout_s=3)
routes = (MultiHost(), ByHaProxy())
asynchronous = Arm("async", Postgres(standbys=2), dcs, patroni, HaProxy(), routes=routes)
waiting = Postgres(standbys=2, replication="sync", sync_method="first")
synchronous = Arm("sync", waiting, dcs, patroni, HaProxy(), routes=routes)

async_never = total(split_brain_writes, arm=asynchronous) <= 0
sync_never = total(split_brain_writes, arm=synchronous) <= 0

scenario = Scenario(
    arms=[asynchronous, synchronous],
    load=SqlWriters(rate_per_s=100),
    strikes=[Strike(ManagerCrash(), target=leader("postgres"))],
    objectives=[async_never, sync_never],
    expects={async_never: "no"},
    watch_s=6.0,
    repeats=2,
)
