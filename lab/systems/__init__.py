"""The systems that a scenario's arms are made of, one file each: settings, what they promise, when they are ready."""

from lab.systems.controller import Controller
from lab.systems.dns import Dns
from lab.systems.haproxy import HaProxy
from lab.systems.manual import Manual
from lab.systems.patroni import Patroni
from lab.systems.postgres import Postgres
from lab.systems.primary_registrar import PrimaryRegistrar
from lab.systems.scripted import Scripted
from lab.systems.service import Service
from lab.systems.zookeeper import ZooKeeper

__all__ = [
    "Controller",
    "Dns",
    "HaProxy",
    "Manual",
    "Patroni",
    "Postgres",
    "PrimaryRegistrar",
    "Scripted",
    "Service",
    "ZooKeeper",
]
