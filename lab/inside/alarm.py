"""Waking a greenlet at an instant. gevent's timers are good to a millisecond, the kernel's to some microseconds."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import gevent
from gevent.hub import get_hub

from lab import clock


def pause_until(t_ns: int) -> None:
    """Let other greenlets run until the monotonic clock reads `t_ns`, to about a millisecond."""
    while (left_ns := t_ns - clock.now_ns()) > 0:
        gevent.sleep(left_ns / clock.S)


class Alarm:
    """One greenlet's own alarm clock; exact where the platform can.

    Python 3.13 brings the kernel's timers; before that gevent's must do (tests on a developer's machine).
    """

    def __init__(self) -> None:
        self._fd = -1
        self._watcher: Any = None
        if sys.version_info >= (3, 13):
            self._fd = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
            self._watcher = get_hub().loop.io(self._fd, 1)

    def sleep_until(self, t_ns: int) -> None:
        """Let others run until the monotonic clock reads `t_ns`; lets them run once where that has passed."""
        if t_ns <= clock.now_ns():
            gevent.sleep(0)
        elif sys.version_info >= (3, 13):
            os.timerfd_settime_ns(self._fd, flags=os.TFD_TIMER_ABSTIME, initial=t_ns)
            get_hub().wait(self._watcher)
            os.read(self._fd, 8)
        else:
            pause_until(t_ns)

    def sleep(self, seconds: float) -> None:
        """Let others run for so long."""
        self.sleep_until(clock.now_ns() + int(seconds * clock.S))

    def close(self) -> None:
        """Give the descriptor back; nobody sleeps on it any more."""
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1
