"""`docker compose` as a child process: it reads the YAML (the lab never does) and makes the containers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.cluster.children import Children, Finished
from lab.errors import BadInput, EngineLost, EngineMissing, LabError
from lab.share import share

CONFIG_S = 20.0
UP_S = 120.0


class Overlaps(LabError):
    """The subnet is taken: somebody was faster. Take the next one."""


class Compose:
    """The tool, run on a janitor's list."""

    def __init__(self, children: Children) -> None:
        self._children = children

    def version(self) -> str:
        """Its version, e.g. "2.26.1". Raises EngineMissing, with the mend, where it is not installed or too old."""
        text = self._run(["version", "--short"], {}, CONFIG_S).out.strip()
        if not text.lstrip("v").startswith(("2", "3", "4", "5")):
            raise EngineMissing(f"docker compose {text} is too old; version 2 is needed (`lab doctor` says how)")
        return text.lstrip("v")

    def config(self, files: Sequence[str], environment: Mapping[str, str], project: str) -> dict[str, Any]:
        """The merged and interpolated model of compose files (names below compose/, or paths)."""
        argv = [word for file in files for word in ("-f", str(located(file)))]
        argv = ["-p", project, "--env-file", os.devnull, *argv, "config", "--format", "json"]
        done = self._run(argv, environment, CONFIG_S)
        model: dict[str, Any] = json.loads(done.out)
        return model

    def create(self, file: Path, *, on_line: Callable[[str], None] | None = None) -> None:
        """Make networks, volumes and containers of a podified file; nothing is started yet.

        Raises Overlaps where its subnet is taken.
        """
        self._run(["-f", str(file), "create", "--no-build", "--pull", "never"], {}, UP_S, on_line)

    def _run(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        timeout_s: float,
        on_line: Callable[[str], None] | None = None,
    ) -> Finished:
        # Settings come from the systems alone: a LAB_TTL_S or COMPOSE_FILE in somebody's shell must not slip in.
        own = {key: value for key, value in os.environ.items() if not key.startswith(("LAB_", "COMPOSE_"))}
        try:
            done = self._children.run(
                ["docker", "compose", *argv], timeout_s=timeout_s, environment=own | dict(environment), on_line=on_line
            )
        except FileNotFoundError as error:
            raise EngineMissing("the command `docker` is not there; `lab doctor` says how to get it") from error
        except TimeoutError as error:
            raise LabError(f"docker compose {argv[-1]} hangs: {error}") from error
        if done.code:
            raise explained(done.err or done.out)
        return done


def located(file: str) -> Path:
    """A compose file by its name below compose/, or by its own path. Raises BadInput where there is none."""
    path = Path(file)
    if not path.is_absolute():
        path = share("compose") / file
    if not path.is_file():
        raise BadInput("no such compose file", str(path))
    return path


def explained(text: str) -> LabError:
    """What Docker's words mean, and the mend."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "docker compose failed without a word"
    low = text.lower()
    if "pool overlaps" in low or "address already in use" in low or "all predefined address pools" in low:
        return Overlaps(last)
    if "no space left" in low:
        return LabError(f"no disk space left: {last}\nmend: free some (`docker system df` shows what the engine holds)")
    if "cannot connect to the docker daemon" in low or "connection refused" in low or "error during connect" in low:
        return EngineLost(f"the engine stopped answering: {last}")
    if "is not a docker command" in low or "unknown command: docker compose" in low or "unknown shorthand flag" in low:
        return EngineMissing("docker compose (version 2) is not installed; `lab doctor` says how to get it")
    if "no such image" in low or "pull access denied" in low or ("not found" in low and "manifest" in low):
        return LabError(f"an image is missing: {last}\nmend: `lab images`")
    if "invalid" in low or "yaml" in low or "must be" in low or "not allowed" in low or "required variable" in low:
        return BadInput(last, "compose")
    return LabError(f"docker compose: {last}")
