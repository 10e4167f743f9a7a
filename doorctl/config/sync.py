"""Tables about the sender: where patrons come from and which branches they go to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from doorctl.config.wording import key

SourceKind = Literal["feed"]
Workers = Annotated[int, Meta(ge=1, le=256)]
Age = Annotated[int, Meta(ge=0, le=99)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A branch that patrons are pushed to."""

    branch: Annotated[
        str,
        key(
            "The branch's own branch.id.",
            "oest",
            "1 to 32 of a-z, 0-9 and -",
            pattern=r"^[a-z0-9-]{1,32}\Z",
        ),
    ]
    url: Annotated[
        str,
        key(
            "Where the branch's web process answers. Plain http only to this machine or through "
            "something that encrypts.",
            "https://oest.example:8443",
            "an address that begins with https:// or http://",
            pattern=r"^https?://[A-Za-z0-9.:_\[\]-]{1,253}(/[A-Za-z0-9._~/-]{0,253})?\Z",
        ),
    ]
    ca_file: Annotated[
        Path,
        key(
            "PEM file of the authority that the branch's certificate is of. Empty: the system's "
            "own authorities.",
            "/etc/doorctl/branches-ca.pem",
            'a path, or ""',
        ),
    ] = Path()
    certificate_file: Annotated[
        Path,
        key(
            "PEM file of the certificate that the branch asks for (its web.tls.client_ca_file).",
            "/etc/doorctl/sender.pem",
            'a path, or ""',
        ),
    ] = Path()
    key_file: Annotated[
        Path,
        key(
            "PEM file of that certificate's private key, without a password.",
            "/etc/doorctl/sender.key",
            'a path, or ""',
        ),
    ] = Path()
    minimum_age: Annotated[
        Age | None, key("The branch's own policy.minimum_age, in years. Absent: this file's.", 15)
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The sender's settings beside its targets."""

    source: Annotated[SourceKind, key("Where patrons come from: the library system's exports.")] = (
        "feed"
    )
    feed: Annotated[
        Path,
        key(
            "An export (.ndjson or .csv), or the directory that exports fall into: the last name "
            "that ends in full counts, then each that ends in changes. A relative path counts from "
            "this file's directory.",
            "/srv/doorctl/exports",
        ),
    ]
    signing_key_file: Annotated[
        Path,
        key(
            "File of the private key that pushes are signed with (made by doorctl sync init; the "
            "public one beside it, .pub, goes to every branch). $CREDENTIALS_DIRECTORY/ as for "
            "secrets.installation_key_file."
        ),
    ] = Path("/etc/doorctl/signing.key")
    state_directory: Annotated[
        Path,
        key(
            "Directory of outbox.db: what was sealed and sent. Without it everything is sealed "
            "and sent once more."
        ),
    ] = Path("/var/lib/doorctl-sync")
    wrong_rows_share: Annotated[
        float,
        key(
            "Share of the export's rows that may be wrong, and 20 in any case: they are set aside "
            "and listed in set-aside.txt beside outbox.db. 0: one wrong row stops the run.",
            ge=0,
            le=0.05,
        ),
    ] = 0.005
    branch_behind_h: Annotated[
        float,
        key(
            "Hours that a branch may not be up to date before [alarms] tells of it.",
            ge=1,
            le=72,
        ),
    ] = 12.0
    workers: Annotated[
        Workers | None, key("Threads that seal at once. Absent: one for each core.", 2)
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSync(Sending):
    """The sender's table as it is written."""

    targets: Annotated[
        tuple[dict[str, Any], ...],
        key(
            "The branches, each with a table of its own; they share this file's installation key.",
            [{}],
            "at least one table [[sync.targets]]",
            min_length=1,
            max_length=1000,
        ),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync(Sending):
    """How this machine sends patrons to branches."""

    targets: tuple[Target, ...]
