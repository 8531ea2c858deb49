"""The faults a scenario may strike with, one file each; every one is verified with evidence."""

from lab.faults.crash import Crash
from lab.faults.graceful_stop import GracefulStop
from lab.faults.pause import Pause
from lab.faults.power_loss import PowerLoss
from lab.faults.restart import Restart
from lab.faults.start import Start
from lab.faults.vanish import Vanish

__all__ = ["Crash", "GracefulStop", "Pause", "PowerLoss", "Restart", "Start", "Vanish"]
