"""New instances are used by every client within the bound of their mechanism."""

from lab import Arm, HttpClients, Scenario, Strike, bound, difference, named, worst
from lab.faults import Start
from lab.measures import alive_but_missing_s
from lab.systems import Dns, Service, ZooKeeper

service = Service(instances=8, spares=4)
dns = Arm("dns", service, Dns(ttl_s=5, check_interval_s=1, successes_to_add=1))
zookeeper = Arm("zookeeper", service, ZooKeeper(session_timeout_s=2, tick_s=0.5))

scenario = Scenario(
    arms=[dns, zookeeper],
    load=HttpClients(count=30, rate_per_s=300),
    strikes=[Strike(Start(), target=named("backend5", "backend6", "backend7", "backend8"), every_s=1.25)],
    objectives=[
        worst(alive_but_missing_s) <= bound(),
        difference(alive_but_missing_s, zookeeper, dns) < 0,
    ],
    repeats=4,
)
