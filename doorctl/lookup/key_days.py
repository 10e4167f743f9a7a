"""Until when keys and certificate are to be used, and where a named file lies."""

from __future__ import annotations

import os
from contextlib import suppress
from operator import attrgetter
from pathlib import Path

from doorctl.config import Config
from doorctl.config.extras import extras_at, find, wanted_by
from doorctl.config.rules import CREDENTIALS, CREDENTIALS_SPELT
from doorctl.store.key_age import Days, days_of, key_days

CERTIFICATE = "certificate"


def placed(config: Config, path: Path) -> Path:
    """Return where a named file lies: what systemd hands over, beside the configuration."""
    handed = os.environ.get(CREDENTIALS)
    if {*CREDENTIALS_SPELT} & {*path.parts} or (handed and path.parent == Path(handed)):
        return config.origin.path.absolute().parent / path.name
    return path


def days_of_keys(config: Config) -> dict[str, Days]:
    """Return until when each key and the pages' certificate is to be used, as far as is known.

    Of several keys that pushes may be signed with the oldest counts, until it is dropped.
    """
    found: dict[str, Days] = {}
    of_extras = [
        (name, attrgetter(key)(config), key_days)
        for listed in extras_at(wanted_by(config.origin.values))
        if (declared := find(listed.name)) is not None
        for name, key in declared.key_files.items()
    ]
    for name, path, read in (
        ("installation_key", config.secrets.installation_key_file, key_days),
        *(("signing_key", path, key_days) for path in config.web.push.public_key_files),
        (CERTIFICATE, config.web.tls.certificate_file, days_of),
        *of_extras,
    ):
        with suppress(OSError):
            if days := read(placed(config, path)):
                found[name] = min(found.get(name, days), days)
    return found
