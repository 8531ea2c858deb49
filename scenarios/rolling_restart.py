"""Nobody notices a graceful rolling restart: who leaves says so, serves until clients know, and loses no request."""

from lab import Arm, HttpClients, Scenario, Strike, bound, every, total, worst
from lab.faults import Restart
from lab.measures import leaving_but_listed_s, requests_lost
from lab.systems import Dns, Service, ZooKeeper

service = Service(instances=4)
dns = Arm("dns", service, Dns(ttl_s=2, check_interval_s=1, failures_to_remove=2))
zookeeper = Arm("zookeeper", service, ZooKeeper(session_timeout_s=2, tick_s=0.5))

scenario = Scenario(
    arms=[dns, zookeeper],
    load=HttpClients(count=30, rate_per_s=300),
    strikes=[Strike(Restart(), target=every("backend"), every_s=10)],
    objectives=[
        worst(leaving_but_listed_s) <= bound(),
        total(requests_lost) <= 0,
    ],
    repeats=3,
)
