"""The faults a scenario may strike with, one file each; every one is verified with evidence."""

from lab.faults.crash import Crash
from lab.faults.graceful_stop import GracefulStop
from lab.faults.partition import Partition
from lab.faults.patroni_crash import ManagerCrash
from lab.faults.pause import Pause
from lab.faults.postmaster_crash import PostmasterCrash
from lab.faults.power_loss import PowerLoss
from lab.faults.reject import Reject
from lab.faults.replication_lag import ReplicationLag
from lab.faults.restart import Restart
from lab.faults.site_loss import SiteLoss
from lab.faults.start import Start
from lab.faults.switchover import Switchover
from lab.faults.vanish import Vanish

__all__ = [
    "Crash",
    "GracefulStop",
    "ManagerCrash",
    "Partition",
    "Pause",
    "PostmasterCrash",
    "PowerLoss",
    "Reject",
    "ReplicationLag",
    "Restart",
    "SiteLoss",
    "Start",
    "Switchover",
    "Vanish",
]
