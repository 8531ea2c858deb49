"""The data directory: unpacked, configured for a role, removed."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from lab.inside.database.places import BAKED, DATA, ENVIRONMENT, PRIVATE, SHARED_MEMORY, SOCKETS, USER
from lab.inside.database.settings import Settings, lab_conf

STANDBY = DATA / "standby.signal"
AUTOMATIC = DATA / "postgresql.auto.conf"


def is_there() -> bool:
    """Whether there is a data directory."""
    return (DATA / "PG_VERSION").exists()


def was_primary() -> bool:
    """Whether the server would start as a primary."""
    return not STANDBY.exists()


def unpack() -> None:
    """Put the baked data directory in place. Raises CalledProcessError, OSError."""
    DATA.mkdir(mode=0o700)
    shutil.chown(DATA, USER, USER)
    subprocess.run(
        ["tar", "-C", str(DATA), "-xf", str(BAKED)], check=True, user=USER, group=USER, extra_groups=[], env=ENVIRONMENT
    )


def configure(settings: Settings, upstream: str | None) -> None:
    """Make it a primary's (`upstream` None) or a standby's; what was set by ALTER SYSTEM is forgotten."""
    _write(DATA / "lab.conf", lab_conf(settings, upstream))
    _write(AUTOMATIC, "")
    if upstream is None:
        STANDBY.unlink(missing_ok=True)
    else:
        _write(STANDBY, "")


def remove() -> None:
    """Take everything away that a killed server left; nothing of it may run any more."""
    shutil.rmtree(DATA, ignore_errors=True)
    clear_locks()


def clear_locks() -> None:
    """Remove the lock files of a server that was killed: its pid may be somebody else's by now, and look alive."""
    (DATA / "postmaster.pid").unlink(missing_ok=True)
    for folder in (SOCKETS, PRIVATE):
        for file in folder.glob(".s.PGSQL.*"):
            file.unlink(missing_ok=True)
    for file in SHARED_MEMORY.glob("PostgreSQL.*"):
        with suppress(OSError):
            file.unlink()


def _write(path: Path, content: str) -> None:
    path.write_text(content)
    shutil.chown(path, USER, USER)
