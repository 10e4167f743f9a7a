"""Tables about the web process: where it listens, by which certificates, what pushes it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from doorctl.config.description import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The certificates of the web process; all paths empty for plain HTTP."""

    certificate_file: Annotated[
        Path,
        key(
            "PEM file of the web process's certificate and those above it. Empty: plain HTTP. A "
            "relative path counts from this file's directory.",
            "/etc/doorctl/web.pem",
            'a path, or ""',
        ),
    ] = Path()
    key_file: Annotated[
        Path,
        key(
            "PEM file of that certificate's private key, without a password. A leading "
            "$CREDENTIALS_DIRECTORY/ is where systemd's LoadCredential= puts it.",
            "/etc/doorctl/web.key",
            'a path, or ""',
        ),
    ] = Path()
    client_ca_file: Annotated[
        Path,
        key(
            "PEM file of the authority whose certificates a sender of patrons must show; browsers "
            "need none. Empty: anybody who reaches the port may push, and a push is proved by its "
            "signature alone.",
            "/etc/doorctl/clients.pem",
            'a path, or ""',
        ),
    ] = Path()

    @property
    def wanted(self) -> bool:
        """Whether there is a certificate to listen with."""
        return self.certificate_file != Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Which pushes of patrons are taken."""

    public_key_files: Annotated[
        tuple[Path, ...],
        key(
            "PEM files of the Ed25519 keys whose signature a push must bear: two while one takes "
            "over from the other. Without any, every push is refused.",
            ["/etc/doorctl/push.pem"],
            "a list of at most 4 paths",
            max_length=4,
        ),
    ] = ()
    max_rows: Annotated[
        int,
        key(
            "Rows of one push. No Danish municipality has 1 000 000 inhabitants.",
            ge=1,
            le=10_000_000,
        ),
    ] = 2_000_000
    max_bytes: Annotated[
        int,
        key(
            "Bytes of one push, as sent and unpacked; a row has about 250, and so many must be "
            "free in storage.directory.",
            ge=1024,
            le=8_589_934_592,
        ),
    ] = 536_870_912
    max_removed_percent: Annotated[
        float,
        key(
            "Percent of the cards held that the pushes of seven days may shut out together without "
            "somebody's approval (removed, blocked, expired today or within a week, not resident, "
            "too young, with another PIN or none): more is likely a failed export.",
            ge=0,
            le=100,
        ),
    ] = 5.0
    removed_floor: Annotated[
        int,
        key(
            "Cards that are never too many to lose so: in a small branch 5 % is one family.",
            ge=0,
            le=1_000_000,
        ),
    ] = 10
    chunk_timeout_s: Annotated[
        float,
        key(
            "Seconds that a sender may be silent in the middle of a push.",
            ge=0.1,
            le=600,
        ),
    ] = 30.0
    total_timeout_s: Annotated[
        float,
        key(
            "Seconds that a push may take to arrive; meanwhile no other is taken.",
            ge=0.1,
            le=7200,
        ),
    ] = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Where the web process listens."""

    host: Annotated[
        str,
        key(
            "Address on which the web process listens; 127.0.0.1 is this machine only.",
            allowed="an address or a host name",
            pattern=r"^[A-Za-z0-9.:_-]{1,253}\Z",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, key("TCP port on which the web process listens.", ge=1, le=65535)] = 8080
    allow_plain: Annotated[
        bool,
        key(
            "Whether the web process may listen to other machines without web.tls, because "
            "something in front of it encrypts."
        ),
    ] = False
    second_factor: Annotated[
        Literal["optional", "required"],
        key(
            "Whether who signs in by a password of the branch has to have a second factor, a code "
            "of an app: who has none sets it up before anything else. The identity provider asks "
            "for its own."
        ),
    ] = "optional"
    socket: Annotated[
        Path,
        key(
            "Unix socket on which the door process asks the web process, at most 107 bytes long. "
            "Empty: web.sock in storage.directory. A relative path counts from this file's "
            "directory.",
            "/run/doorctl/web.sock",
            'a path, or ""',
        ),
    ] = Path()
    catalogues: Annotated[
        Path,
        key(
            "Directory of catalogues for further languages of the pages: one file of gettext for "
            "each, named after its code (uk.po). Danish and English are always there.",
            "/etc/doorctl/locale",
            'a path, or ""',
        ),
    ] = Path("/etc/doorctl/locale")
    tls: Tls = field(default_factory=Tls)
    push: Push = field(default_factory=Push)
