"""The running pods of one arm, and what they have written."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, cast

from lab.cluster.attach import Agents
from lab.cluster.door import Door
from lab.cluster.node import PodNode
from lab.errors import EngineLost, LabError, NodeLost
from lab.protocols import Fields, Node

THREADS = 8
COLLECT_S = 30.0
VERSIONS = "/etc/boring-lab-versions"
"""Where our images say what is in them: a line a package, its name and version."""


class PodStack:
    """Satisfies lab.protocols.Stack."""

    def __init__(self, arm: str, nodes: Sequence[PodNode], door: Door, agents: Agents, compose_file: bytes) -> None:
        self.arm = arm
        self.pods: Mapping[str, PodNode] = {node.name: node for node in nodes}
        self._door = door
        self._agents = agents
        self._compose_file = compose_file
        self._offsets: dict[str, int] = {}

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Every node by name."""
        return self.pods

    def role(self, role: str) -> Sequence[Node]:
        """The nodes of a role, in order of their number."""
        return sorted((node for node in self.pods.values() if node.role == role), key=lambda node: _number(node.name))

    def start(self, spare: frozenset[str] = frozenset(), first: frozenset[str] = frozenset(), at_once: int = 2) -> None:
        """Start every pod (of the `spare` ones only the host; those of `first` before the others), `at_once` at a time;
        returns when all agents answer. Raises NodeLost."""

        def start(node: PodNode) -> None:
            node.start_host_and_agent()
            if node.name not in spare:
                self._door.call(self._door.api.start, node.server_id)

        # As many as the engine has cores: more at once only take turns, and the first of them is ready later.
        with ThreadPoolExecutor(at_once) as pool:
            for _ in pool.map(start, sorted(self.pods.values(), key=lambda node: node.name not in first)):
                pass
        for node in self.pods.values():
            node.await_agent()

    def collect(self, folder: Path) -> None:
        """Put what every writer wrote since the last collect into `folder`, a file a writer, header repeated.

        One agent reads for all: the writers of a stack share a volume. Files of writers that are dead by now are
        among them. Raises NodeLost when no agent is left.
        """
        node, answer = self._from_any_agent()
        if answer["files"]:
            stream, _ = self._door.call(self._door.api.get_archive, node.host_id, answer["path"])
            _unpack(stream, folder)
        self._offsets = answer["offsets"]

    def logs(self, folder: Path) -> None:
        """Write each server's log as folder/logs/NODE.log, and what started the stack as folder/compose.json."""
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        (folder / "compose.json").write_bytes(self._compose_file)

        def save(node: PodNode) -> None:
            text = self._door.call(self._door.api.logs, node.server_id, timestamps=True)
            (folder / "logs" / f"{node.name}.log").write_bytes(text)

        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(save, self.pods.values()):
                pass

    def packages(self) -> dict[str, str]:
        """Versions of the packages that serve here: {"bind9": "1:9.20.30-1", ...}; images of other people tell none."""
        found: dict[str, str] = {}
        for node in {node.role: node for node in self.pods.values()}.values():
            try:
                stream, _ = self._door.call(self._door.api.get_archive, node.server_id, VERSIONS)
            except EngineLost:
                raise
            except LabError:
                continue
            with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
                text = b"".join(file.read() for member in tar if (file := tar.extractfile(member)) is not None)
            found |= dict(line.split(" ", 1) for line in text.decode().splitlines() if " " in line)
        return dict(sorted(found.items()))

    def keep(self) -> None:
        """Let the pods live without the lab."""
        self._agents.keep()

    def close(self) -> None:
        """Let go of the agents."""
        self._agents.close()

    def _from_any_agent(self) -> tuple[PodNode, Fields]:
        failures: list[str] = []
        for node in self.pods.values():
            try:
                return node, node.tell("collect", offsets=self._offsets, timeout_s=COLLECT_S)
            except EngineLost:
                raise
            except NodeLost as error:  # its host vanished: any other will do
                failures.append(str(error))
        raise NodeLost(f"{self.arm}: no agent is left to collect from: {failures[0]}")


def _unpack(stream: Iterator[bytes], folder: Path) -> None:
    """The engine sends a tar that holds our tar; neither is held in memory."""
    with tarfile.open(fileobj=cast(IO[bytes], _Reader(stream)), mode="r|") as outer:
        for member in outer:
            inner = outer.extractfile(member)
            if inner is None:
                continue
            with tarfile.open(fileobj=inner, mode="r|") as files:
                for file in files:
                    content = files.extractfile(file)
                    if content is not None:
                        with (folder / Path(file.name).name).open("wb") as out:
                            shutil.copyfileobj(content, out)


class _Reader(io.RawIOBase):
    """A file to be read once, from an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def read(self, size: int = -1, /) -> bytes:
        parts = [self._left]
        have = len(self._left)
        while size < 0 or have < size:
            part = next(self._chunks, b"")
            if not part:
                break
            parts.append(part)
            have += len(part)
        whole = b"".join(parts)
        if size < 0:
            size = len(whole)
        self._left = whole[size:]
        return whole[:size]


def _number(name: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.*?)(\d*)", name)
    return (found[1], int(found[2] or 0)) if found else (name, 0)
