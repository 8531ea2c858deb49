"""Calls to the engine's API with a bound in time, and its errors in the lab's words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from lab.cluster.compose import explained
from lab.cluster.connection import connect
from lab.errors import EngineLost, EngineMissing, LabError, NodeLost

CALL_S = 15.0
"""The longest an answer of the engine may take."""
LOOK_S = 3.0
"""The longest it may take to say that it is there."""

P = ParamSpec("P")
R = TypeVar("R")


class Door:
    """The connection of one lab to the engine. Safe for several threads."""

    def __init__(self) -> None:
        self.api: docker.APIClient = connect(CALL_S).api
        self._lost = ""

    def call(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a method of `api`. Raises EngineLost when the engine is gone, LabError when it says no."""
        self._raise_if_lost()
        try:
            return method(*args, **kwargs)
        except NotFound as error:
            raise NodeLost(f"the engine no longer has it: {error.explanation}") from error
        except APIError as error:
            raise explained(str(error.explanation or error)) from error
        except (requests.RequestException, DockerException, OSError) as error:
            self.look()
            raise LabError(f"the engine is there, but did not answer a call: {error}") from error

    def look(self) -> None:
        """Raise EngineLost unless the engine answers now; once lost it stays lost for this lab."""
        self._raise_if_lost()
        try:
            client = connect(LOOK_S)
        except EngineMissing as error:
            self._lost = f"the engine stopped answering: {error}"
            raise EngineLost(self._lost) from error
        with suppress(OSError):
            client.close()

    def close(self) -> None:
        """Close the connection."""
        self.api.close()

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise EngineLost(self._lost)
