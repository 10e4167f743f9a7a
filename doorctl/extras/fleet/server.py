"""The configuration of a nats-server for all branches of a sender: who may say and hear what.

Options are those of nats-server 2.10.27 (https://docs.nats.io/running-a-nats-service/configuration,
``handshake_first`` since 2.10.4). By ``verify_and_map`` a client is who its certificate says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from doorctl.config import load
from doorctl.config.tables import ID
from doorctl.core.errors import InputError
from doorctl.extras.fleet.bodies import CREATE
from doorctl.extras.fleet.messages import (
    BODIES,
    PIECE_BYTES,
    PUSHES,
    UP,
    body_of,
    inbox_of,
    pushes_of,
    reading,
    subject_of,
    up_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = """\
# nats-server's configuration for the branches of one sender, as doorctl nats-config writes it.
# A client is whom its certificate names: each has one of the authority in ca_file. A branch hears
# its own subjects alone, reads what lies there for it, and says nothing but the reply to what it
# hears, and how it is. A hub hears that of all branches, and says nothing.
listen: "{listen}"
server_name: "doorctl"
max_payload: {max_payload}
max_pending: 16MB
max_control_line: 4KB
max_subscriptions: 8
max_connections: {max_connections}
write_deadline: "10s"
ping_interval: "30s"

tls {{
  cert_file: "{directory}/nats.pem"
  key_file: "{directory}/nats.key"
  ca_file: "{directory}/nats-ca.pem"
  verify_and_map: true
  # No word goes before TLS, so that nobody on the way can ask for a plain connection.
  handshake_first: true
  timeout: 5
  min_version: "1.2"
}}

# Pushes for branches that are away lie here, sealed, for a week at most.
jetstream {{
  store_dir: "{store}"
  max_file_store: 4GB
  max_memory_store: 16MB
  # What it has acknowledged is on the disk; by default a power cut takes two minutes of it.
  sync_interval: always
}}

accounts {{
  library {{
    jetstream: enabled
    users: [
{users}
    ]
  }}
}}
"""

SENDER = """\
      {{ user: "CN={name}", permissions: {{
        publish: {{ allow: [
{said}
        ] }},
        subscribe: {{ allow: ["_INBOX.>"] }}
      }} }}"""

BRANCH = """\
      {{ user: "CN={name}", permissions: {{
        publish: {{ allow: ["{left}", "{bodies}", "{up}"] }},
        subscribe: {{ allow: ["{subject}", "{pushes}", "{inbox}.>"] }},
        allow_responses: {{ max: 1, expires: "1m" }}
      }} }}"""

HUB = """\
      {{ user: "CN={name}", permissions: {{
        publish: {{ allow: ["{last}"] }},
        subscribe: {{ allow: ["{up}", "{inbox}.>"] }}
      }} }}"""

SENDS: Final = (
    subject_of("*"),
    pushes_of("*"),
    body_of("*", "*"),
    reading(PUSHES, ">"),
    reading(BODIES, ">"),
    *(
        f"$JS.API.STREAM.{deed}.{stream}"
        for stream in (PUSHES, BODIES)
        for deed in ("INFO", "CREATE", "PURGE")
    ),
    CREATE + UP,
)
"""What the sender says: requests to branches, what it leaves for them, and how streams are made.

No one else makes a stream: by its settings it could have the server pass on what others say.
"""


@dataclass(frozen=True, slots=True)
class Clients:
    """Who connects to a server; all names are those of certificates."""

    sender: str
    branches: Sequence[str]
    hubs: Sequence[str] = ()


def configuration(
    clients: Clients,
    listen: str = "0.0.0.0:4222",
    directory: str = "/etc/nats",
    store: str = "/var/lib/nats",
) -> str:
    """Return the file's text."""
    said = ",\n".join(f'          "{subject}"' for subject in SENDS)
    users = [SENDER.format(name=clients.sender, said=said)]
    users += [*map(_branch, clients.branches), *map(_hub, clients.hubs)]
    return FILE.format(
        listen=listen,
        directory=directory,
        store=store,
        max_payload=2 * PIECE_BYTES,
        # A branch that comes back may have left a connection hanging, and so may a sender.
        max_connections=16 + 4 * (len(clients.branches) + len(clients.hubs)),
        users=",\n".join(users),
    )


def _branch(name: str) -> str:
    return BRANCH.format(
        name=name,
        subject=subject_of(name),
        pushes=pushes_of(name),
        inbox=inbox_of(name),
        left=reading(PUSHES, pushes_of(name)),
        bodies=reading(BODIES, body_of("*", "*")),
        up=up_of(name, "*"),
    )


def _hub(name: str) -> str:
    up = up_of("*", "*")
    return HUB.format(name=name, last=reading(UP, up), up=up, inbox=inbox_of(name))


@click.command("nats-config")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="DOORCTL_CONFIG",
    required=True,
    metavar="F",
    help="The sender's configuration file.",
)
@click.option(
    "--hub", "hubs", multiple=True, metavar="NAME", help="The id of a [web.hub]; may be repeated."
)
@click.option(
    "--listen",
    default="0.0.0.0:4222",
    metavar="HOST:PORT",
    show_default=True,
    help="Where the server listens.",
)
@click.option("--directory", default="/etc/nats", metavar="D", help="Where its certificates lie.")
@click.option(
    "--store", default="/var/lib/nats", metavar="D", help="Where it keeps pushes for branches away."
)
def nats_config(path: Path, hubs: tuple[str, ...], listen: str, directory: str, store: str) -> None:
    """Write a nats-server's configuration for every branch with via = "nats".

    Each certificate is CN=NAME: the sender's branch.id, a branch's, or a hub's web.hub.id. That of
    the server, nats.pem in the directory, has the name or address by which it is reached.
    """
    config = load(path)
    targets = () if config.sync is None else config.sync.targets
    names = [target.branch for target in targets if target.via == "nats"]
    if not names:
        raise InputError('no branch is reached over NATS: give via = "nats" in its sync.targets')
    for hub in hubs:
        if hub in {config.branch.id, *names} or not re.fullmatch(ID, hub):
            raise InputError("--hub is an id of its own, not that of the sender or of a branch")
    clients = Clients(config.branch.id, names, hubs)
    click.echo(configuration(clients, listen, directory, store), nl=False)
