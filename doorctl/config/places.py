"""Where the paths of the configuration really are: absolute, and systemd's variable filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

CREDENTIALS = "CREDENTIALS_DIRECTORY"
CREDENTIALS_SPELT = (f"${CREDENTIALS}", f"${{{CREDENTIALS}}}")
SOCKET_NAME = "door.sock"


def placed(values: Mapping[str, Any], base: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the values with every path made absolute.

    Args:
        values: what is right by itself, by full key; keys may be missing.
        base: absolute directory from which relative paths count.
        environment: where ``$CREDENTIALS_DIRECTORY`` is looked up. Where it isn't set, the name
            stays in the path, and a rule tells of it.
    """
    result = dict(values)
    if "storage.directory" in result:
        result["storage.directory"] = base / result["storage.directory"]
    if "secrets.installation_key_file" in result:
        written = result["secrets.installation_key_file"]
        result["secrets.installation_key_file"] = base / _filled_in(written, environment)
    if "control.socket" in result:
        result["control.socket"] = _socket(result, base)
    if result.get("control.socket") is None:
        result.pop("control.socket", None)
    return result


def _filled_in(path: Path, environment: Mapping[str, str]) -> Path:
    directory = environment.get(CREDENTIALS)
    if directory and path.parts and path.parts[0] in CREDENTIALS_SPELT:
        return Path(directory, *path.parts[1:])
    return path


def _socket(values: Mapping[str, Any], base: Path) -> Path | None:
    written: Path = values["control.socket"]
    if written != Path():
        return base / written
    directory: Path | None = values.get("storage.directory")
    return None if directory is None else directory / SOCKET_NAME
