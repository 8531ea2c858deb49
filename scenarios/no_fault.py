"""Where nothing happens nobody is removed, and no client's view is wrong."""

from lab import Arm, HttpClients, Scenario, total
from lab.measures import false_removals, wrong_view_s
from lab.systems import Dns, Service, ZooKeeper

service = Service(instances=8)
dns = Arm("dns", service, Dns(ttl_s=5, check_interval_s=1, failures_to_remove=2))
zookeeper = Arm("zookeeper", service, ZooKeeper(session_timeout_s=2, tick_s=0.5))

scenario = Scenario(
    arms=[dns, zookeeper],
    load=HttpClients(count=30, rate_per_s=300),
    objectives=[
        total(false_removals) <= 0,
        total(wrong_view_s) <= 0,
    ],
    quiet_s=30,
    repeats=2,
)
