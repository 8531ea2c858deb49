"""podify: plain Compose services become pods, and nothing else changes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from lab.cluster.pods import Pod, images, podify, pods
from lab.errors import BadInput

HERE = Path(__file__).parent
MODEL: dict[str, Any] = json.loads((HERE / "plain.json").read_text())
ADDRESSES = {"clients": "10.1.2.10", "ns1": "10.1.2.11", "web1": "10.1.2.12", "web2": "10.1.2.13", "web3": "10.1.2.14"}
ROLE = {"labels": {"lab.role": "r"}}
TAGS = {"inside": "boring-lab/inside:0123456789ab", "dns": "boring-lab/dns:ba9876543210"}


def podified() -> dict[str, Any]:
    return podify(
        copy.deepcopy(MODEL),
        project="lab-r1-dns",
        run="r1",
        arm="dns",
        subnet="10.1.2.0/24",
        addresses=ADDRESSES,
        tags=TAGS,
    )


def changed(service: str, **body: Any) -> dict[str, Any]:
    model = copy.deepcopy(MODEL)
    model["services"][service] |= body
    return model


def test_golden() -> None:
    """The whole of it, as it goes into the run folder. After a change on purpose write `podified()` there."""
    assert podified() == json.loads((HERE / "podified.json").read_text())


def test_it_is_pure() -> None:
    """The model it is given stays as it was."""
    model = copy.deepcopy(MODEL)
    podify(model, project="p", run="r", arm="a", subnet="10.1.2.0/24", addresses=ADDRESSES, tags=TAGS)
    assert model == MODEL


def test_replicas_are_numbered_and_the_last_ones_are_spare() -> None:
    """`replicas: 3` are web1..3, `lab.spare: 1` leaves web3 unstarted; without replicas the service's name is kept."""
    assert pods(MODEL) == [
        Pod("clients", "clients", "clients"),
        Pod("ns1", "nameserver", "ns1"),
        Pod("web1", "backend", "web"),
        Pod("web2", "backend", "web"),
        Pod("web3", "backend", "web", spare=True),
    ]


def test_one_replica_is_numbered_too() -> None:
    """`replicas: 1` is web1, so that names do not change with the number."""
    assert [pod.node for pod in pods(changed("web", deploy={"replicas": 1}))][-1] == "web1"


def test_images_of_the_lab_are_named_once_and_the_agents_is_among_them() -> None:
    """What has to be built before the stack can start."""
    assert images({"services": {"db": {"image": "postgres:17"}}}) == ["inside"]
    assert images(MODEL) == ["dns", "inside"]


def test_every_thing_carries_the_label_of_its_run() -> None:
    """What has no label would never be swept."""
    model = podified()
    things = [*model["services"].values(), *model["networks"].values(), *model["volumes"].values()]
    assert all(thing["labels"]["lab.run"] == "r1" and thing["labels"]["lab.arm"] == "dns" for thing in things)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (changed("ns1", labels={}), "service ns1: no label lab.role"),
        (changed("ns1", network_mode="host"), "service ns1: network_mode cannot be kept"),
        (changed("ns1", networks={"default": None, "back": None}), "service ns1: network back"),
        ({"services": {}}, "no services"),
        (
            {"services": {"a": ROLE | {"deploy": {"replicas": 1}}, "a1": ROLE}},
            "two pods would be called a1",
        ),
    ],
)
def test_what_cannot_be_a_pod_is_refused_by_name(model: dict[str, Any], says: str) -> None:
    """One sentence that names the service and the mend."""
    with pytest.raises(BadInput, match=says):
        pods(model)
