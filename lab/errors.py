"""Every error the lab raises on purpose, and the exit code each one means.

LabError                 exit 4   the lab or the machine failed
├── EngineMissing        exit 4   no Docker engine answers
├── EngineLost           exit 4   the engine stopped answering in the middle of a run
├── ImageFailed          exit 4   an image could not be built
├── NotReady             exit 4   a stack did not become ready in time
├── NodeLost             exit 4   an agent did not answer, or said no
└── BadInput             exit 3   what a person wrote cannot be run

A message names what is wrong, where, and how to mend it; the CLI prints it without a traceback.
"""

from __future__ import annotations


class LabError(Exception):
    """The lab or the machine failed; nothing is said about the system under test."""

    exit_code = 4


class EngineMissing(LabError):
    """No Docker engine answers; the message carries the exact mend."""


class EngineLost(LabError):
    """The engine stopped answering in the middle of a run; finished trials are kept."""


class ImageFailed(LabError):
    """An image could not be built; the message carries the last lines of the build."""


class NotReady(LabError):
    """A stack did not become ready in time; the message names each node and what it lacks."""


class NodeLost(LabError):
    """A node's agent did not answer in time, or refused a command."""


class BadInput(LabError):
    """What a person wrote cannot be run: `where` says file or option, `what` the field and the mend."""

    exit_code = 3

    def __init__(self, what: str, where: str = "") -> None:
        super().__init__(f"{where}: {what}" if where else what)
        self.what = what
        self.where = where

    def at(self, where: str) -> BadInput:
        """The same error with a file in front, unless it already names one."""
        return self if self.where else BadInput(self.what, where)
