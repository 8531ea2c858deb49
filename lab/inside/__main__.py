"""The entry of the lab's images: `python -m lab.inside NAME [ARGUMENT...]` runs lab.inside.NAME.main()."""

from __future__ import annotations

import sys
from importlib import import_module

DISCOVERY = ("agent", "service", "registrar", "observer", "clients", "scripted")
DATABASES = ("database", "controller", "primary_registrar", "watcher", "haproxy", "writers")
NAMES = DISCOVERY + DATABASES


def main() -> None:
    """Run the module that the first argument names; it finds its own arguments at sys.argv[1:]."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in NAMES:
        sys.exit(f"lab.inside: unknown command {name!r}; one of: {', '.join(NAMES)}")
    del sys.argv[1]
    module = import_module(f"lab.inside.{name}")
    sys.exit(module.main())


if __name__ == "__main__":
    main()
