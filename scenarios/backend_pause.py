"""A backend that stands still (a long garbage collection) still accepts connections,
but clients drop it within the bound, and come back to it when it wakes.
"""

from lab import Arm, HttpClients, Scenario, Strike, bound, some, worst
from lab.faults import Pause
from lab.measures import alive_but_missing_s, dead_but_listed_s
from lab.systems import Dns, Service, ZooKeeper

service = Service(instances=8)
dns = Arm("dns", service, Dns(ttl_s=5, check_interval_s=1, failures_to_remove=2))
zookeeper = Arm("zookeeper", service, ZooKeeper(session_timeout_s=2, tick_s=0.5))

scenario = Scenario(
    arms=[dns, zookeeper],
    load=HttpClients(count=30, rate_per_s=300),
    strikes=[Strike(Pause(), target=some("backend", 4), every_s=1.25)],
    objectives=[
        worst(dead_but_listed_s) <= bound(),
        worst(alive_but_missing_s) <= bound(),
    ],
    repeats=4,
)
