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
from collections.abc import Iterator, Sequence
from contextlib import closing
from queue import SimpleQueue
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException

from lab.cluster import debian, images
from lab.cluster.connection import connect
from lab.errors import EngineLost, ImageFailed, LabError
from lab.protocols import Fields, Progress

SILENCE_S = 600.0
"""A build that says nothing for so long is given up."""
TAIL = 15
_STEP = re.compile(r"^Step (\d+)/(\d+) : (.*)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def build(recipes: Sequence[images.Recipe], progress: Progress, *, fresh: bool = False) -> None:
    """Build these images, each as soon as its parent is there; `fresh` uses nothing that was built before.

    Raises the first failure (ImageFailed, EngineLost) at once; builds that still run end with the process.
    """
    waiting = list(recipes)
    names = {recipe.name for recipe in recipes}
    running = 0
    stop = threading.Event()
    news: SimpleQueue[Fields | BaseException | images.Recipe] = SimpleQueue()
    try:
        while waiting or running:
            for recipe in [recipe for recipe in waiting if recipe.parent not in names]:
                waiting.remove(recipe)
                running += 1
                # A daemon: an interrupted lab must not wait for it.
                threading.Thread(
                    target=_work, args=(recipe, fresh, news, stop), name=f"build-{recipe.name}", daemon=True
                ).start()
            new = news.get()
            if isinstance(new, BaseException):
                raise new
            if isinstance(new, images.Recipe):
                names.discard(new.name)
                running -= 1
            else:
                progress(new)
    finally:
        stop.set()


def _work(
    recipe: images.Recipe,
    fresh: bool,
    news: SimpleQueue[Fields | BaseException | images.Recipe],
    stop: threading.Event,
) -> None:
    def say(step: int, of: int) -> None:
        news.put({"what": "building", "image": recipe.name, "step": step, "of": of, "most_s": recipe.most_s})

    try:
        with closing(connect(SILENCE_S)) as client:
            if recipe.parent is None:
                say(0, 1)
                debian.ensure(client, fresh=fresh)
            _build(client, recipe, fresh, say, stop)
        news.put(recipe)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the build was asked for
        news.put(error)


def _build(client: docker.DockerClient, recipe: images.Recipe, fresh: bool, say: Any, stop: threading.Event) -> None:
    full = images.reference(recipe.name)
    tail: deque[str] = deque(maxlen=TAIL)
    step = ""
    try:
        for line in _output(client, recipe, full, fresh):
            if stop.is_set():
                return
            if match := _STEP.match(line):
                step = line
                say(int(match[1]), int(match[2]))
            tail.append(line)
        image = client.images.get(full)
        image.tag(full.rpartition(":")[0], "latest")
    except _Failed as error:
        raise ImageFailed(_explain(client, recipe.name, step, [*tail, str(error)])) from error
    except APIError as error:
        raise ImageFailed(_explain(client, recipe.name, step, [*tail, str(error.explanation)])) from error
    except (DockerException, requests.RequestException) as error:
        raise EngineLost(f"the engine stopped answering while image {recipe.name} was built ({error})") from error


class _Failed(Exception):
    """The build itself failed; the message is the engine's."""


def _output(client: docker.DockerClient, recipe: images.Recipe, full: str, fresh: bool) -> Iterator[str]:
    answers = client.api.build(
        fileobj=io.BytesIO(images.context(recipe.name)),
        custom_context=True,
        tag=full,
        buildargs={"PARENT": images.reference(recipe.parent)} if recipe.parent else None,
        labels={"lab.image": recipe.name},
        nocache=fresh,
        rm=True,
        forcerm=True,
        decode=True,
        timeout=round(SILENCE_S),
    )
    for answer in answers:
        if "error" in answer:
            raise _Failed(answer["error"])
        for line in _COLOUR.sub("", str(answer.get("stream", ""))).splitlines():
            if line.strip():
                yield line.rstrip()


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
