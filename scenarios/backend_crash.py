"""Clients of a crashed backend are right again within the bound of their mechanism,
and sooner with ZooKeeper than with DNS.
"""

from lab import Arm, HttpClients, Scenario, Strike, bound, difference, some, worst
from lab.faults import Crash
from lab.measures import dead_but_listed_s
from lab.systems import Dns, Service, ZooKeeper

service = Service(instances=8)
dns = Arm("dns", service, Dns(ttl_s=5, check_interval_s=1, failures_to_remove=2))
zookeeper = Arm("zookeeper", service, ZooKeeper(session_timeout_s=2, tick_s=0.5))

scenario = Scenario(
    arms=[dns, zookeeper],
    load=HttpClients(count=30, rate_per_s=300),
    strikes=[Strike(Crash(), target=some("backend", 4), every_s=1.25)],
    objectives=[
        worst(dead_but_listed_s) <= bound(),
        difference(dead_but_listed_s, zookeeper, dns) < 0,
    ],
    repeats=4,
)
