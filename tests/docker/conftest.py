"""A small stack on the real engine, for the tests of the cluster room."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.cluster import DockerCluster
from lab.cluster.stack import PodStack
from lab.plan import make_plan
from lab.report import html, terminal
from lab.result import Result
from lab.running import conduct
from lab.scenario import Scenario
from lab.store import RunFolder

PAIR = str(Path(__file__).parent / "pair.yaml")
"""server1 and server2 (an HTTP server on port 8080), and `waiting`, whose server is left unstarted."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[DockerCluster]:
    """A cluster that does not wait for others: nothing is measured here."""
    with DockerCluster(progress=lambda _: None, share=True) as door:
        yield door


@pytest.fixture(scope="module")
def pair(cluster: DockerCluster) -> PodStack:
    """The stack of pair.yaml, up."""
    return cluster.up("pair", [PAIR], {})


def carry_out(scenario: Scenario, folder: Path, seed: str = "7") -> tuple[Result, RunFolder]:
    """Run a scenario as `lab run` does, without a terminal; its result and its run folder."""
    plan = make_plan(scenario, seed, name="truth")
    run = RunFolder.create(plan.name, plan.seed, out=folder)
    with DockerCluster(progress=lambda _: None) as door:
        result = conduct(
            plan,
            run,
            cluster=door,
            progress=lambda _: None,
            stop=threading.Event(),
            page=html.render,
            text=terminal.text,
        )
    return result, run


TRIES = 3
"""Runs, until every planned trial of one is valid: a busy machine may blind the lab, and then it says so."""


@pytest.fixture
def lab_run(tmp_path: Path) -> Callable[..., tuple[Result, RunFolder]]:
    """Carry out a scenario on the real engine: lab_run(scenario, seed="7") -> (Result, RunFolder).

    A run is made again for being unknown, never for its figures.
    """

    def made(scenario: Scenario, seed: str = "7") -> tuple[Result, RunFolder]:
        for number in range(1, TRIES + 1):
            result, folder = carry_out(scenario, tmp_path / f"run{number}", seed)
            if result.valid_trials >= result.planned_trials:
                break
        return result, folder

    return made
