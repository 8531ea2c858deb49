"""With synchronous replication nothing that was acknowledged is lost, whatever clients do with a commit that hangs.

It does not hold (a demonstration) for clients that cancel after a second: Postgres then answers "INSERT 0 1" with a
warning that hardly any program reads, and the row dies with the old primary. Clients that wait lose nothing.
"""

from lab import Arm, Scenario, SqlWriters, Strike, leader, total
from lab.faults import ManagerCrash
from lab.measures import lost_writes
from lab.routes import MultiHost
from lab.systems import Patroni, Postgres, ZooKeeper

postgres = Postgres(standbys=2, replication="sync", sync_method="first")
dcs = ZooKeeper(servers=1, session_timeout_s=10, tick_s=1)
patroni = Patroni(ttl_s=20, loop_wait_s=1, retry_timeout_s=3)
cancel = Arm("cancel", postgres, dcs, patroni, routes=[MultiHost(deadline_s=1, on_deadline="cancel")])
wait = Arm("wait", postgres, dcs, patroni, routes=[MultiHost(deadline_s=1, on_deadline="wait")])

cancel_loses_none = total(lost_writes, arm=cancel) <= 0
wait_loses_none = total(lost_writes, arm=wait) <= 0

scenario = Scenario(
    arms=[cancel, wait],
    load=SqlWriters(rate_per_s=50),
    strikes=[Strike(ManagerCrash(), target=leader("postgres"))],
    objectives=[cancel_loses_none, wait_loses_none],
    expects={cancel_loses_none: "no"},
    watch_s=6.0,
    repeats=2,
)
