"""With quorum commit (ANY 1 of two standbys) it does not matter which standby is promoted: nothing is lost.

It does matter: one standby was cut off a second before the crash. Promoting the standby that has received the most
loses nothing; promoting the first one in the list loses that second: that arm is a demonstration.
"""

from lab import Arm, Scenario, SqlWriters, Strike, leader, named, total
from lab.faults import Crash, Partition
from lab.measures import lost_writes
from lab.routes import MultiHost
from lab.systems import Controller, Postgres

postgres = Postgres(standbys=2, replication="sync", sync_standbys=1, sync_method="any")
most_advanced = Arm("most_advanced", postgres, Controller(), routes=[MultiHost()])
first = Arm("first", postgres, Controller(promote="first"), routes=[MultiHost()])

most_advanced_loses_none = total(lost_writes, arm=most_advanced) <= 0
first_loses_none = total(lost_writes, arm=first) <= 0

scenario = Scenario(
    arms=[most_advanced, first],
    load=SqlWriters(rate_per_s=200),
    strikes=[
        Strike(Partition(away_from=("postgres1",)), target=named("postgres2")),
        Strike(Crash(), target=leader("postgres"), at_s=1.0),
    ],
    objectives=[most_advanced_loses_none, first_loses_none],
    expects={first_loses_none: "no"},
    repeats=4,
)
