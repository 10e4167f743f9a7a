"""The configuration files that doorctl brings along, from a checkout or a wheel."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import doorctl
from doorctl.core.errors import StoreError


def shipped(name: str) -> Path:
    """Return a file of ``config/``, from a checkout or a wheel; StoreError if neither has it."""
    checkout = Path(doorctl.__file__).parent.parent / "config" / name
    if checkout.exists():
        return checkout
    # The wheel's own record knows where it is under --user, --prefix and --target as well.
    for file in metadata.files("doorctl") or ():
        if file.match(f"share/doorctl/{name}"):
            return Path(str(file.locate())).resolve()
    raise StoreError(f"{name} is missing from this installation; install doorctl again")
