"""Plain Compose services made into pods. Pure: the JSON of `docker compose config` in, the same kind of JSON out.

Every node becomes two services, as in Kubernetes:

    NODE-host   owns the network and PID namespaces and the address, runs the agent
    NODE        the server, in the namespaces of its host; otherwise as its author wrote it

A service with `deploy.replicas` becomes numbered nodes (backend1, backend2, ...); one without is a node of its
own name. Compose cannot do this itself: `replicas: 3` on both halves would put three servers into pod 1, silently.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.errors import BadInput

Model = dict[str, Any]

OURS = "boring-lab/"
AGENT_IMAGE = OURS + "inside"
HOST = "-host"
EVENTS = "lab-events"
"""The volume of an arm into which its writers write; mounted at EVENTS_AT in every container."""
EVENTS_AT = "/lab/events"

_OF_HOST = ("dns", "dns_opt", "dns_search", "extra_hosts", "expose", "hostname", "domainname", "sysctls")
"""What belongs to the namespaces, and so to the host (Docker refuses most of it on a server that joins them)."""
_NOT_IN_PODS = frozenset(
    ("networks", "depends_on", "links", "ports", "container_name", "scale", "deploy", "restart", "mac_address")
)
"""Dropped: pods start side by side and the lab asks itself who is ready; nothing outside reaches a lab, and two labs
must not want one port; a crash is the lab's to heal."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A node before it runs: its name and role, the service it is made from, whether its server is left unstarted,
    and whether it is started before others."""

    node: str
    role: str
    service: str
    spare: bool = False
    first: bool = False


def pods(model: Model) -> list[Pod]:
    """The pods of a model, by service name and number. Raises BadInput on what cannot be a pod.

    Label `lab.role` is needed; label `lab.spare: "2"` says that the servers of the last two replicas are not started;
    `lab.first` starts a service before those that wait for it.
    """
    found: list[Pod] = []
    for service, body in sorted(model.get("services", {}).items()):
        labels = body.get("labels") or {}
        role = labels.get("lab.role")
        if not role:
            raise BadInput("no label lab.role; say what it is, e.g. labels: {lab.role: backend}", f"service {service}")
        for key in ("network_mode", "pid"):
            if body.get(key):
                raise BadInput(f"{key} cannot be kept: a pod shares its host's", f"service {service}")
        if others := set(body.get("networks") or {}) - {"default"}:
            raise BadInput(f"network {min(others)}: pods have the default network only", f"service {service}")
        replicas = (body.get("deploy") or {}).get("replicas")
        spare = int(labels.get("lab.spare", 0))
        if replicas is None:
            found.append(Pod(service, role, service, spare > 0, "lab.first" in labels))
        else:
            found += [
                Pod(f"{service}{n}", role, service, n > replicas - spare, "lab.first" in labels)
                for n in range(1, replicas + 1)
            ]
    names = [name for pod in found for name in (pod.node, pod.node + HOST)]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"two pods would be called {name}; rename a service", "compose")
    if not found:
        raise BadInput("no services", "compose")
    return found


def images(model: Model) -> list[str]:
    """The images of the lab itself that a podified model needs, without the prefix, each once."""
    used = {AGENT_IMAGE} | {body.get("image", "") for body in model["services"].values()}
    return sorted(image.removeprefix(OURS) for image in used if image.startswith(OURS) and ":" not in image)


def podify(
    model: Model,
    *,
    project: str,
    run: str,
    arm: str,
    subnet: str,
    addresses: Mapping[str, str],
    tags: Mapping[str, str],
) -> Model:
    """The model with every node as a pod.

    `addresses` gives each node's IPv4 address in `subnet`; `tags` the full name with tag of each image of the lab by
    its short name ({"inside": "boring-lab/inside:0123456789ab"}). Everything gets the labels of its run.
    """
    run_labels = {"lab.run": run, "lab.arm": arm}
    hosts = [f"{node}:{address}" for node, address in addresses.items()]
    services: dict[str, Model] = {}
    for pod in pods(model):
        body = copy.deepcopy(model["services"][pod.service])
        body["image"] = _tagged(body.get("image", ""), tags)
        labels = run_labels | {"lab.node": pod.node, "lab.role": pod.role}
        environment = {"LAB_NODE": pod.node, "LAB_ADDRESS": addresses[pod.node]}
        services[pod.node + HOST] = _host(body, pod, labels, environment, hosts, addresses[pod.node], tags)
        services[pod.node] = _server(body, pod, labels, environment)
    volumes = {name: volume or {} for name, volume in model.get("volumes", {}).items()} | {EVENTS: {}}
    network = {"internal": True, "labels": run_labels, "ipam": {"config": [{"subnet": subnet}]}}
    rest = {key: value for key, value in model.items() if key not in ("name", "services", "networks", "volumes")}
    return {
        "name": project,
        "services": services,
        "networks": {"default": network},
        "volumes": {
            name: volume if volume.get("external") else volume | {"labels": (volume.get("labels") or {}) | run_labels}
            for name, volume in volumes.items()
        },
        **rest,
    }


def _host(
    body: Model,
    pod: Pod,
    labels: dict[str, str],
    environment: dict[str, str],
    hosts: Sequence[str],
    address: str,
    tags: Mapping[str, str],
) -> Model:
    kept = {key: body[key] for key in _OF_HOST if body.get(key)}
    aliases = ((body.get("networks") or {}).get("default") or {}).get("aliases") or []
    return kept | {
        "image": _tagged(AGENT_IMAGE, tags),
        "command": ["agent"],
        "cap_add": ["NET_ADMIN", "SYS_PTRACE"],
        "environment": environment,
        "extra_hosts": [*hosts, *kept.get("extra_hosts", [])],
        "hostname": kept.get("hostname", pod.node),
        "labels": labels | {"lab.part": "host"},
        "logging": {"driver": "none"},  # its stdout answers the lab, and would fill the disk
        "networks": {"default": {"aliases": [pod.node, *aliases], "ipv4_address": address}},
        "stdin_open": True,
        "volumes": [_events()],
    }


def _server(body: Model, pod: Pod, labels: dict[str, str], environment: dict[str, str]) -> Model:
    server = {key: value for key, value in body.items() if key not in (*_OF_HOST, *_NOT_IN_PODS)}
    deploy = {key: value for key, value in (body.get("deploy") or {}).items() if key == "resources" and value}
    if deploy:
        server["deploy"] = deploy
    spare = {"lab.spare": "yes"} if pod.spare else {}
    own = {key: value for key, value in (body.get("labels") or {}).items() if key != "lab.spare"}
    host = pod.node + HOST
    return server | {
        "depends_on": {host: {"condition": "service_started"}},
        "environment": (body.get("environment") or {}) | environment,
        "healthcheck": {"disable": True},  # one costs 4 to 8 % of a core for each container
        "labels": own | labels | {"lab.part": "server"} | spare,
        "logging": body.get("logging") or {"driver": "json-file", "options": {"max-size": "20m"}},
        "network_mode": f"service:{host}",
        "pid": f"service:{host}",
        "volumes": [*(body.get("volumes") or []), _events()],
    }


def _events() -> Model:
    return {"type": "volume", "source": EVENTS, "target": EVENTS_AT}


def _tagged(image: str, tags: Mapping[str, str]) -> str:
    return tags.get(image.removeprefix(OURS), image) if image.startswith(OURS) else image
