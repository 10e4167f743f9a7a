"""Where the paths of the configuration really are: absolute, and systemd's variable filled in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

CREDENTIALS = "CREDENTIALS_DIRECTORY"
CREDENTIALS_SPELT = (f"${CREDENTIALS}", f"${{{CREDENTIALS}}}")
SOCKETS = {"control.socket": "door.sock", "web.socket": "web.sock"}
"""Keys that name a socket, and what it is called in its process's directory by default."""

WEBS, DOORS = "storage.directory", "storage.door_directory"

FILES = frozenset(
    {
        "alarms.email.ca_file",
        "alarms.email.password_file",
        "alarms.webhook.ca_file",
        "alarms.webhook.secret_file",
        "lms.ca_file",
        "lms.password_file",
        "lms.terminal_password_file",
        "secrets.installation_key_file",
        "signin.oidc.ca_file",
        "signin.oidc.client_secret_file",
        "sync.signing_key_file",
        "web.tls.certificate_file",
        "web.tls.key_file",
        "web.tls.client_ca_file",
    }
)
"""Keys that name a file which systemd may hand over; an empty one names none."""

DIRECTORIES = frozenset({WEBS, "sync.feed", "sync.state_directory", "web.catalogues"})
"""Keys whose path is only made absolute."""

PUBLIC_KEYS = "web.push.public_key_files"


def placed(values: Mapping[str, Any], base: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the values with every path made absolute.

    Args:
        values: what is right by itself, by full key; keys may be missing.
        base: absolute directory from which relative paths count.
        environment: where ``$CREDENTIALS_DIRECTORY`` is looked up. Where it isn't set, the name
            stays in the path, and a rule tells of it.
    """
    result = dict(values)
    for name in DIRECTORIES & result.keys():
        result[name] = base / result[name]
    if DOORS in result:
        own = result[DOORS] != Path()
        result[DOORS] = base / result[DOORS] if own else result.get(WEBS, Path())
    for name in FILES & result.keys():
        result[name] = placed_file(result[name], base, environment)
    if PUBLIC_KEYS in result:
        result[PUBLIC_KEYS] = tuple(base / written for written in result[PUBLIC_KEYS])
    for name in SOCKETS.keys() & result.keys():
        socket = _socket(name, result, base)
        if socket is None:
            del result[name]
        else:
            result[name] = socket
    return result


def placed_file(written: Path, base: Path, environment: Mapping[str, str]) -> Path:
    """Return where one file is; an empty path names none."""
    if written == Path():
        return written
    directory = environment.get(CREDENTIALS)
    if directory and written.parts[:1] and written.parts[0] in CREDENTIALS_SPELT:
        return Path(directory, *written.parts[1:])
    return base / written


def _socket(name: str, values: Mapping[str, Any], base: Path) -> Path | None:
    written: Path = values[name]
    if written != Path():
        return base / written
    directory: Path | None = values.get(DOORS if name == "control.socket" else WEBS)
    return None if directory is None else directory / SOCKETS[name]
