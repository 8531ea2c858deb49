"""The door to containers for one run: DockerCluster, the cluster that the engine is given."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Self

from lab import clock
from lab.cluster import images, pods
from lab.cluster.attach import Agents
from lab.cluster.children import Children
from lab.cluster.compose import Compose, Overlaps
from lab.cluster.door import Door
from lab.cluster.janitor import Janitor
from lab.cluster.lock import Lock, hold_engine, hold_run
from lab.cluster.network import addresses, free_subnets
from lab.cluster.node import PodNode
from lab.cluster.stack import PodStack
from lab.cluster.sweep import sweep_run
from lab.errors import BadInput, LabError, NodeLost, NotReady
from lab.protocols import Fields, Progress, Stack

SUBNETS_TO_TRY = 8
PINGS = 9


class DockerCluster:
    """Satisfies lab.protocols.Cluster. Use it as a context manager, or call `close`.

    Making one waits until no other run measures on the engine (`share` does not wait) and starts the janitor, so from
    then on nothing of this run outlives the lab by more than 10 s. Raises EngineMissing where there is no engine.
    """

    def __init__(
        self,
        run_id: str = "",
        *,
        progress: Progress,
        share: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        """`run_id` names the run on the engine (made up when empty); `stop` ends the wait for another run."""
        run_id = self.run = run_id or new_run_id()
        self._progress = progress
        self._door = Door()
        info = self._door.call(self._door.api.info)
        self._run_lock = _held(run_id)
        try:
            self._lock: Lock = hold_engine(info["ID"], run_id, progress, share=share, stop=stop)
        except BaseException:
            self._run_lock.close(remove=True)
            raise
        self._janitor = Janitor(run_id, [self._run_lock.fd, self._lock.fd])
        self._children = Children(self._janitor)
        self._compose = Compose(self._children)
        self._folder = Path(tempfile.mkdtemp(prefix="boring-lab-"))
        self._janitor.tell(f"tempdir {self._folder}")
        self._stacks: dict[str, PodStack] = {}
        self._kept: set[str] = set()
        self._told: set[str] = set()
        """Arms whose servers' versions are known."""
        self._offset_ns: int | None = None
        self._closed = False
        try:
            self._versions: Fields = {
                "engine": self._door.call(self._door.api.version)["Version"],
                "compose": self._compose.version(),
                "kernel": info["KernelVersion"],
                "cores": info["NCPU"],
                "memory_bytes": info["MemTotal"],
                "shared": share,
                "beside": self._lock.beside,
                "images": {},
                "packages": {},
                "clock_error_ns": 0,
            }
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def versions(self) -> Fields:
        """engine, compose, kernel, cores, memory_bytes, images {name: full name with tag}, packages {name: version} of
        the servers, whether the engine was `shared` (and with which run: `beside`), and how far the nodes' clock may be
        off ours (clock_error_ns)."""
        return self._versions

    @property
    def stacks(self) -> Mapping[str, PodStack]:
        """The stacks that are up, by arm."""
        return self._stacks

    def up(self, arm: str, compose_files: Sequence[str], environment: Mapping[str, str]) -> PodStack:
        """Build what images are missing and start every pod of an arm; returns when all agents answer.

        Raises BadInput for compose files that cannot be pods, NotReady when an agent does not come up; nothing of the
        arm is left then.
        """
        if arm in self._stacks:
            raise LabError(f"arm {arm} is up already")
        project = re.sub(r"[^a-z0-9_-]+", "-", f"lab-{self.run}-{arm}".lower())
        model = self._compose.config(compose_files, environment, project)
        planned = pods.pods(model)
        tags = images.ensure(pods.images(model), self._progress)
        self._versions["images"] |= tags
        file = self._folder / f"{arm}.json"
        try:
            at = self._create(model, project, arm, [pod.node for pod in planned], tags, file)
            stack = self._stack(arm, planned, at, file.read_bytes())
            self._stacks[arm] = stack
            stack.start(
                spare=frozenset(pod.node for pod in planned if pod.spare),
                first=frozenset(pod.node for pod in planned if pod.first),
                at_once=max(2, self._versions["cores"]),
            )
        except BaseException as error:
            with suppress(LabError):  # the first failure is the one to tell; the janitor sweeps at the end
                self._drop(arm)
            if isinstance(error, NodeLost):
                raise NotReady(f"{arm}: {error}") from error
            raise
        if self._offset_ns is None:
            self._relate_clocks(next(iter(stack.pods.values())))
        return stack

    def down(self, stack: Stack) -> None:
        """Remove everything of a stack. Raises EngineLost when the engine is gone."""
        self._drop(stack.arm)

    def collect(self, stack: Stack, folder: Path) -> None:
        """Put what every writer wrote since the last collect into `folder`, a file a writer, header repeated."""
        ours = self._stacks[stack.arm]
        ours.collect(folder)
        if stack.arm not in self._told:  # not while somebody waits for the stack
            self._versions["packages"] |= ours.packages()
            self._told.add(stack.arm)

    def logs(self, stack: Stack, folder: Path) -> None:
        """Put each server's log into `folder`/logs as NODE.log, and the podified compose file as compose.json."""
        self._stacks[stack.arm].logs(folder)

    def now_ns(self) -> int:
        """The time on the nodes' clock: ours where they run on this kernel, else ours put right by pings."""
        return clock.now_ns() + (self._offset_ns or 0)

    def keep(self, stack: Stack) -> None:
        """Let a stack outlive the lab, for `lab shell` and `lab logs`; `lab clean` removes it."""
        self._stacks[stack.arm].keep()
        self._kept.add(stack.arm)
        self._janitor.tell(f"keep {stack.arm}")

    def close(self) -> None:
        """End the run: everything that is not kept is removed, then the next lab may measure. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._children.end()
        swept = False
        with suppress(LabError):
            for arm in set(self._stacks) - self._kept:
                self._drop(arm)
            swept = True
        for stack in self._stacks.values():
            stack.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        # Where the engine did not answer, the janitor goes on trying for a while.
        if swept:
            self._janitor.done()
        else:
            self._janitor.leave()
        self._run_lock.close(remove=swept)
        self._lock.close()
        self._door.close()

    def _create(
        self,
        model: pods.Model,
        project: str,
        arm: str,
        nodes: Sequence[str],
        tags: Mapping[str, str],
        file: Path,
    ) -> dict[str, str]:
        """Make the containers on the first free subnet that nobody else takes meanwhile; returns the addresses."""
        taken: Overlaps | None = None
        for subnet in islice(free_subnets(self._door.api, project, len(nodes)), SUBNETS_TO_TRY):
            at = addresses(subnet, nodes)
            podified = pods.podify(
                model, project=project, run=self.run, arm=arm, subnet=str(subnet), addresses=at, tags=tags
            )
            file.write_text(json.dumps(podified, indent=1))
            try:
                self._compose.create(file)
            except Overlaps as error:
                taken = error
                sweep_run(self.run, arm=arm)
            else:
                return at
        raise taken or LabError("no subnet was free")

    def _stack(self, arm: str, planned: Sequence[pods.Pod], at: Mapping[str, str], file: bytes) -> PodStack:
        filters = {"label": [f"lab.run={self.run}", f"lab.arm={arm}"]}
        found: dict[tuple[str, str], str] = {}
        for container in self._door.call(self._door.api.containers, all=True, filters=filters):
            labels: dict[str, Any] = container["Labels"]
            found[labels["lab.node"], labels["lab.part"]] = container["Id"]
        agents = Agents(self._door.look)
        nodes = [
            PodNode(
                pod.node,
                pod.role,
                at[pod.node],
                found[pod.node, "host"],
                found[pod.node, "server"],
                self._door,
                agents,
            )
            for pod in planned
        ]
        return PodStack(arm, nodes, self._door, agents, file)

    def _drop(self, arm: str) -> None:
        stack = self._stacks.pop(arm, None)
        if stack is not None:
            stack.close()
        self._door.look()
        sweep_run(self.run, arm=arm)

    def _relate_clocks(self, node: PodNode) -> None:
        """One kernel, one clock; otherwise the best of some round trips tells the offset, half of it the error."""
        answer = node.tell("ping")
        self._offset_ns = 0
        if answer["boot_id"] == clock.boot_id():
            return
        exchanges = []
        for _ in range(PINGS):
            before_ns = clock.now_ns()
            theirs_ns = node.tell("ping")["t_ns"]
            after_ns = clock.now_ns()
            exchanges.append((after_ns - before_ns, theirs_ns - (before_ns + after_ns) // 2))
        trip_ns, self._offset_ns = min(exchanges)
        self._versions["clock_error_ns"] = trip_ns // 2


def new_run_id() -> str:
    """A name for a run that no other has: time, process and chance."""
    stamp = clock.wall()[:19].translate(str.maketrans("T", "-", "-:"))
    return f"{stamp}-{os.getpid()}-{os.urandom(2).hex()}"


def _held(run: str) -> Lock:
    lock = hold_run(run)
    if lock is None:
        raise BadInput(f"run {run} is alive already")
    return lock
