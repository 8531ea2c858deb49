"""The data directory: unpacked, configured for a role, removed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lab.inside.database.places import BAKED, DATA, PRIVATE, SHARED_MEMORY, SOCKETS, USER, WIPED
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
    """Put the baked data directory in place. Raises OSError.

    What a wiped one still holds is used: making a thousand files anew right after their like was deleted takes ext4
    half a second. And no half of a data directory is ever found under its right name.
    """
    WIPED.mkdir(exist_ok=True)
    _put_back(WIPED)
    WIPED.rename(DATA)


def configure(settings: Settings, upstream: str | None) -> None:
    """Make it a primary's (`upstream` None) or a standby's; what was set by ALTER SYSTEM is forgotten."""
    _write(DATA / "lab.conf", lab_conf(settings, upstream))
    _write(AUTOMATIC, "")
    if upstream is None:
        STANDBY.unlink(missing_ok=True)
    else:
        _write(STANDBY, "")


def remove() -> None:
    """Take the data of a killed server away; nothing of it may run any more."""
    if DATA.exists():
        shutil.rmtree(WIPED, ignore_errors=True)
        DATA.rename(WIPED)
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


def _put_back(folder: Path) -> None:
    """Make a used data directory equal to the baked one: what bears another stamp than the baked files was written."""
    folders, files = _walk(folder)
    baked_folders, baked_files = _walk(BAKED)
    for name in files.keys() - baked_files.keys():
        (folder / name).unlink()
    for name in sorted(folders - baked_folders, reverse=True):
        (folder / name).rmdir()
    for name in ("", *sorted(baked_folders)):
        (folder / name).mkdir(exist_ok=True)
        _give(BAKED / name, folder / name)
    for name, about in baked_files.items():
        if files.get(name) != about:
            _copy(str(BAKED / name), str(folder / name))


def _walk(folder: Path) -> tuple[set[str], dict[str, tuple[int, int]]]:
    """Every folder below one, and of every file its size and the stamp of its last writing."""
    folders: set[str] = set()
    files: dict[str, tuple[int, int]] = {}
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                name = f"{inside}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.add(name)
                    waiting.append(f"{name}/")
                else:
                    about = entry.stat(follow_symlinks=False)
                    files[name] = (about.st_size, about.st_mtime_ns)
    return folders, files


def _copy(source: str, target: str) -> None:
    """Content, mode, stamp and owner; into the same file where there is one."""
    shutil.copyfile(source, target)
    _give(Path(source), Path(target))


def _give(source: Path, target: Path) -> None:
    shutil.copystat(source, target)
    about = source.stat()
    os.chown(target, about.st_uid, about.st_gid)


def _write(path: Path, content: str) -> None:
    path.write_text(content)
    shutil.chown(path, USER, USER)
