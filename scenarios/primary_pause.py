"""A primary that was paused until another was promoted, and then goes on, acknowledges nothing any more.

Clients connect anew for every write and have the old primary first in their list. It holds where the old primary is
stopped before another is promoted, and does not where nothing fences it: that arm is a demonstration.
"""

from lab import Arm, Scenario, SqlWriters, Strike, leader, total
from lab.faults import Pause
from lab.measures import split_brain_writes
from lab.routes import MultiHost
from lab.systems import Controller, Postgres

routes = [MultiHost(hold="reconnecting")]
fenced = Arm("fenced", Postgres(standbys=2), Controller(fence="stop"), routes=routes)
unfenced = Arm("unfenced", Postgres(standbys=2), Controller(), routes=routes)

fenced_never = total(split_brain_writes, arm=fenced) <= 0
unfenced_never = total(split_brain_writes, arm=unfenced) <= 0

scenario = Scenario(
    arms=[fenced, unfenced],
    load=SqlWriters(rate_per_s=50),
    strikes=[Strike(Pause(), target=leader("postgres"))],
    objectives=[fenced_never, unfenced_never],
    expects={unfenced_never: "no"},
    watch_s=3.0,
    repeats=4,
)
