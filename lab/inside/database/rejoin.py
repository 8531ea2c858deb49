"""How a server that ran ahead comes back behind another one: its rows are read, then it is rewound or rebuilt."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import psycopg

from lab.inside.database import storage
from lab.inside.database.child import Child
from lab.inside.database.peers import checkpoint
from lab.inside.database.places import BIN, DATA, ENVIRONMENT, PORT, PRIVATE, USER
from lab.inside.database.settings import Settings
from lab.inside.rows import rows

ALONE_S = 30.0
TOOL_S = 120.0
EVERY_S = 0.005


def rows_alone() -> dict[str, Any]:
    """What the table of a stopped server holds: it is started for this alone, and reached by nobody else.

    {reached: true, timeline, in_recovery, count, ranges, repeated}, or {reached: false, why}. It leaves the server shut
    down in order, as pg_rewind wants it, be it that it was killed before.
    """
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(PRIVATE),
        "synchronous_standby_names": "",
        "primary_conninfo": "",
        "autovacuum": "off",
        # Nothing that must last is written here, and whoever starts from these files next syncs them all.
        "fsync": "off",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    said: list[str] = []
    server = Child(
        [str(BIN / "postgres"), "-D", str(DATA), *options],
        on_line=lambda line, _: said.append(line),
        on_end=lambda _: None,
    )
    try:
        deadline = time.monotonic() + ALONE_S
        while server.running and time.monotonic() < deadline:
            if _accepts():
                return {"reached": True, **rows(deadline, str(PRIVATE), PORT)}
            time.sleep(EVERY_S)
        return {"reached": False, "why": "; ".join(said[-3:]) or "it did not start"}
    except OSError as error:
        return {"reached": False, "why": str(error)}
    finally:
        server.signal(signal.SIGINT)
        if not server.wait(ALONE_S):
            server.signal(signal.SIGQUIT)
            server.wait(ALONE_S)


def follow(settings: Settings, upstream: str) -> str:
    """Make the data directory of a stopped server one that can stream from `upstream`: "rewound", or "rebuilt".

    Raises psycopg.Error, CalledProcessError, TimeoutExpired.
    """
    address = settings.addresses[upstream]
    checkpoint(address)
    source = f"host={address} port={PORT} user=rewind dbname=postgres sslmode=disable gssencmode=disable"
    how = "rewound"
    try:
        # Not synced here: the server syncs all files when it begins its recovery.
        _tool("pg_rewind", "--no-sync", "-D", str(DATA), "--source-server", source)
    except subprocess.CalledProcessError as error:
        print(f"rejoin: pg_rewind cannot: {error.stdout.strip()}", file=sys.stderr)
        how = "rebuilt"
        storage.remove()
        copy = f"host={address} port={PORT} user=repl sslmode=disable gssencmode=disable"
        _tool("pg_basebackup", "-D", str(DATA), "-d", copy, "-c", "fast", "-X", "stream", "--no-sync")
    storage.configure(settings, upstream)
    return how


def _accepts() -> bool:
    try:
        psycopg.connect(host=str(PRIVATE), port=PORT, user="postgres", dbname="postgres").close()
    except psycopg.Error:
        return False
    return True


def _tool(name: str, *arguments: str) -> None:
    done = subprocess.run(
        [str(BIN / name), *arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TOOL_S,
        user=USER,
        group=USER,
        extra_groups=[],
        env=ENVIRONMENT,
        cwd="/",
    )
    print(done.stdout, end="")
    done.check_returncode()
