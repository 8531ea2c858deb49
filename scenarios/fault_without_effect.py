"""A fault that did nothing is never a pass: the trial is unknown, and says which evidence is missing."""

from dataclasses import dataclass
from typing import ClassVar

from lab import Arm, HttpClients, Scenario, Strike, bound, one, worst
from lab.faults import Crash
from lab.measures import dead_but_listed_s
from lab.protocols import Injection, Site
from lab.systems import Service, ZooKeeper


@dataclass(frozen=True, slots=True)
class NoEffect(Crash):
    """Claims to be a crash and does nothing."""

    name: ClassVar[str] = "crash"

    def inject(self, site: Site) -> Injection:
        t_ns = site.target.tell("ping")["t_ns"]
        return Injection(site.target.name, t_ns, t_ns, {"pids": []})


zookeeper = Arm("zookeeper", Service(instances=4), ZooKeeper(session_timeout_s=2, tick_s=0.5))

scenario = Scenario(
    arms=[zookeeper],
    load=HttpClients(count=12, rate_per_s=60),
    strikes=[Strike(NoEffect(), target=one("backend"))],
    objectives=[worst(dead_but_listed_s) <= bound()],
    expects={worst(dead_but_listed_s) <= bound(): "unknown"},
    repeats=1,
    demonstration=True,
)
