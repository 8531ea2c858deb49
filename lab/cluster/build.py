"""Builds images through the engine's API, independent ones side by side.

The context goes up the connection and the output comes down it. So there is no child process and no temporary file:
when the lab dies, its connections close, and the engine ends the build and removes its container.
"""

from __future__ import annotations

import io
import re
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from queue import SimpleQueue
from typing import TypeAlias

import docker
import requests
from docker.errors import APIError, DockerException

from lab.cluster import debian
from lab.cluster.connection import connect
from lab.cluster.images import Draft
from lab.errors import EngineLost, ImageFailed, LabError
from lab.protocols import Fields, Progress

SILENCE_S = 600.0
"""A build that says nothing for so long is given up."""
TAIL = 15
_STEP = re.compile(r"^Step (\d+)/(\d+) : (.*)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

News: TypeAlias = "SimpleQueue[Fields | BaseException | Draft]"
"""What the builds' threads tell: progress, a failure, or what is done."""


def build(drafts: Sequence[Draft], progress: Progress, *, fresh: bool = False) -> None:
    """Build these images, each as soon as its parent is there; `fresh` uses nothing that was built before.

    Raises the first failure (ImageFailed, EngineLost) at once; builds that still run end with the process.
    """
    waiting = list(drafts)
    undone = {draft.reference for draft in drafts}
    running = 0
    stop = threading.Event()
    news: News = SimpleQueue()
    try:
        while waiting or running:
            for draft in [draft for draft in waiting if draft.parent not in undone]:
                waiting.remove(draft)
                running += 1
                # A daemon: an interrupted lab must not wait for it.
                threading.Thread(
                    target=_work, args=(draft, fresh, news, stop), name=f"build-{draft.recipe.name}", daemon=True
                ).start()
            new = news.get()
            if isinstance(new, BaseException):
                raise new
            if isinstance(new, Draft):
                undone.discard(new.reference)
                running -= 1
            else:
                progress(new)
    finally:
        stop.set()


def _work(
    draft: Draft,
    fresh: bool,
    news: News,
    stop: threading.Event,
) -> None:
    def say(step: int, of: int) -> None:
        news.put(
            {"what": "building", "image": draft.recipe.name, "step": step, "of": of, "most_s": draft.recipe.most_s}
        )

    try:
        with closing(connect(SILENCE_S)) as client:
            if draft.parent is None:
                say(0, 1)
                debian.ensure(client, fresh=fresh)
            _build(client, draft, fresh, say, stop)
        news.put(draft)
    except Exception as error:  # whatever it is, it is raised where the build was asked for
        news.put(error)


def _build(
    client: docker.DockerClient, draft: Draft, fresh: bool, say: Callable[[int, int], None], stop: threading.Event
) -> None:
    name = draft.recipe.name
    tail: deque[str] = deque(maxlen=TAIL)
    step = ""
    try:
        for line in _output(client, draft, fresh):
            if stop.is_set():
                return
            if match := _STEP.match(line):
                step = line
                say(int(match[1]), int(match[2]))
            elif not line.startswith((" ---> ", "Removing intermediate container")):
                tail.append(line)
        client.images.get(draft.reference).tag(draft.reference.rpartition(":")[0], "latest")
    except _Failed as error:
        raise ImageFailed(_explain(client, name, step, [*tail, str(error)])) from error
    except APIError as error:
        raise ImageFailed(_explain(client, name, step, [*tail, str(error.explanation)])) from error
    except (DockerException, requests.RequestException) as error:
        raise EngineLost(f"the engine stopped answering while image {name} was built ({error})") from error


class _Failed(Exception):
    """The build itself failed; the message is the engine's."""


def _output(client: docker.DockerClient, draft: Draft, fresh: bool) -> Iterator[str]:
    answers = client.api.build(
        fileobj=io.BytesIO(draft.context()),
        custom_context=True,
        tag=draft.reference,
        buildargs={"PARENT": draft.parent} if draft.parent else None,
        labels={"lab.image": draft.recipe.name},
        nocache=fresh,
        rm=True,
        forcerm=True,
        decode=True,
        timeout=round(SILENCE_S),
    )
    failure = None
    for answer in answers:  # to its end, also after an error: only then is the connection given back
        failure = answer.get("error", failure)
        for line in _COLOUR.sub("", str(answer.get("stream", ""))).splitlines():
            if line.strip():
                yield line.rstrip()
    if failure is not None:
        raise _Failed(failure)


def _explain(client: docker.DockerClient, name: str, step: str, lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    if "no space left on device" in text.lower():
        return (
            f"image {name} could not be built: no disk space left {_where(client)}\n"
            "mend: free about 2 GB, e.g. with `docker image prune`, and run again"
        )
    last = "\n".join(f"    {line}" for line in lines[-TAIL:])
    return f"image {name} could not be built, it failed at: {step or 'the start'}\n{last}"


def _where(client: docker.DockerClient) -> str:
    try:
        folder = str(client.info()["DockerRootDir"])
    except (DockerException, requests.RequestException, LabError, KeyError):
        return "where the engine keeps its images"
    try:
        return f"in {folder} ({shutil.disk_usage(folder).free / 1e9:.1f} GB are free)"
    except OSError:
        return f"in {folder} of the engine's machine"
