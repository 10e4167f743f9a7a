"""Tables about the installation: which branch, where its files are, how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from doorctl.config.description import key

Language = Literal["da", "en"]
Trust = Literal["auto", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Which library this is."""

    name: Annotated[
        str,
        key(
            "The branch's name as patrons and staff read it.",
            "Randers Bibliotek, Øst",
            "text of at most 80 characters",
            max_length=80,
        ),
    ]
    id: Annotated[
        str,
        key(
            "The branch's short name; a push for another id is refused.",
            "oest",
            "1 to 32 of a-z, 0-9 and -",
            pattern=r"^[a-z0-9-]{1,32}\Z",
        ),
    ]
    isil: Annotated[
        str,
        key(
            "The branch's ISIL (ISO 15511), as the library system names it.",
            "DK-773000",
            'an ISIL, or "" for none',
            pattern=r"^([A-Z]{1,4}-[A-Za-z0-9:/-]{1,11})?\Z",
        ),
    ] = ""
    time_zone: Annotated[
        str,
        key(
            "IANA name of the zone whose clock the opening hours and birthdays follow.",
            allowed="the name of a time zone",
            max_length=64,
        ),
    ] = "Europe/Copenhagen"
    language: Annotated[Language, key("What the panel speaks first.")] = "da"
    phone: Annotated[
        str,
        key(
            "Telephone number shown to a refused patron.",
            "12 34 56 78",
            'at most 32 digits, spaces, +, -, ( and ), or "" for none',
            pattern=r"^[0-9+ ()-]{0,32}\Z",
        ),
    ] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """Where the databases are."""

    directory: Annotated[
        Path,
        key(
            "Directory of patrons.db, branch.db and visits.db; systemd's StateDirectory= makes "
            "it. A relative path counts from this file's directory."
        ),
    ] = Path("/var/lib/doorctl")
    door_directory: Annotated[
        Path,
        key(
            "Directory of what the door process writes (visits.db and the purges' reports), where "
            "that is a user of its own; web writes the other one. Both are then of mode 0750 and "
            "of a group that the two users share: what is made in such a directory is the "
            "group's to read. Empty: storage.directory. A relative path counts from this file's "
            "directory.",
            "/var/lib/doorctl-door",
            'a path, or ""',
        ),
    ] = Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Where the secrets are; none stands in the configuration itself."""

    installation_key_file: Annotated[
        Path,
        key(
            "File of 32 secret bytes, and 32 for each later key (mode 0600, made by doorctl init), "
            "without which patrons.db says nothing. Root alone reads it; systemd hands the door "
            "process a copy (LoadCredential=), which its unit names with --set and "
            "$CREDENTIALS_DIRECTORY/. A relative path counts from this file's directory."
        ),
    ] = Path("/etc/doorctl/installation.key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What stretching an identifier costs (Argon2id, one lane)."""

    memory_kib: Annotated[
        int,
        key(
            "KiB of memory for each guess. 19456 (19 MiB) with 2 iterations is OWASP's minimum; "
            "lower only for tests and benchmarks. Another value needs a full load.",
            ge=8,
            le=1_048_576,
        ),
    ] = 19456
    iterations: Annotated[
        int,
        key("Passes over that memory. Another value needs a full load.", ge=1, le=100),
    ] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """The door log."""

    retention_days: Annotated[
        int,
        key(
            "Days that the door log is kept; more than 30 can't be set (the sector's privacy "
            "template deletes after 30).",
            ge=1,
            le=30,
        ),
    ] = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTrust:
    """When the wall clock is believed."""

    trust: Annotated[
        Trust,
        key(
            '"auto": while timesyncd, by its file, or a battery clock vouches for it. chrony tells '
            "only the kernel, which the units may ask once they have the drop-in of "
            'systemd/README.md. "always": somebody else keeps it right (a container, a virtual '
            "machine, a battery clock that the kernel does not show)."
        ),
    ] = "auto"


Deed = Literal[
    "open",
    "trust_clock",
    "unlock",
    "selftest",
    "purge",
    "hold_add",
    "hold_lift",
    "key",
    "keys",
    "pin_check",
    "new_code",
    "subject_erase_visits",
]
DEEDS: tuple[Deed, ...] = get_args(Deed)
"""All that the door does when it is asked; what it only tells, it tells web in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How the door process is asked."""

    socket: Annotated[
        Path,
        key(
            "Unix socket on which the door process answers status and purge, at most 107 bytes "
            "long. Empty: door.sock in storage.door_directory. A relative path counts from this "
            "file's directory.",
            "/run/doorctl/door.sock",
            'a path, or ""',
        ),
    ] = Path()
    kept_from_web: Annotated[
        tuple[Deed, ...],
        key(
            "What the door refuses the web process and its user, for whoever captures that process "
            'asks for it too: ["open"] lets nobody in from the staff pages. Root\'s commands may '
            "always ask.",
            ["open"],
            f"a list of some of {', '.join(DEEDS)}",
            max_length=len(DEEDS),
        ),
    ] = ()
