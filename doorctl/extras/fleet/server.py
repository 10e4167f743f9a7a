"""The configuration of a nats-server for all branches of a sender: who may say and hear what.

Options are those of nats-server 2.10.27 (https://docs.nats.io/running-a-nats-service/configuration,
``handshake_first`` since 2.10.4). By ``verify_and_map`` a client is who its certificate says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from doorctl.config import load
from doorctl.core.errors import InputError
from doorctl.extras.fleet.messages import PIECE_BYTES, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = """\
# nats-server's configuration for the branches of one sender, as doorctl nats-config writes it.
# A client is whom its certificate names: each has one of the authority in ca_file. A branch hears
# its own subject alone, and says nothing but the reply to what it hears.
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

accounts {{
  library {{
    users: [
{users}
    ]
  }}
}}
"""

SENDER = """\
      {{ user: "CN={name}", permissions: {{
        publish: {{ allow: ["{everywhere}"] }},
        subscribe: {{ allow: ["_INBOX.>"] }}
      }} }}"""

BRANCH = """\
      {{ user: "CN={name}", permissions: {{
        publish: {{ deny: [">"] }},
        subscribe: {{ allow: ["{subject}"] }},
        allow_responses: {{ max: 1, expires: "1m" }}
      }} }}"""


def configuration(
    sender: str, branches: Iterable[str], listen: str = "0.0.0.0:4222", directory: str = "/etc/nats"
) -> str:
    """Return the file's text; the sender's and branches' names are those of their certificates."""
    names = list(branches)
    users = [SENDER.format(name=sender, everywhere=subject_of("*"))]
    users += [BRANCH.format(name=name, subject=subject_of(name)) for name in names]
    return FILE.format(
        listen=listen,
        directory=directory,
        max_payload=2 * PIECE_BYTES,
        # A branch that comes back may have left a connection hanging, and so may a sender.
        max_connections=16 + 4 * len(names),
        users=",\n".join(users),
    )


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
    "--listen",
    default="0.0.0.0:4222",
    metavar="HOST:PORT",
    show_default=True,
    help="Where the server listens.",
)
@click.option("--directory", default="/etc/nats", metavar="D", help="Where its certificates lie.")
def nats_config(path: Path, listen: str, directory: str) -> None:
    """Write a nats-server's configuration for every branch with via = "nats".

    Each certificate is CN=NAME: the sender's branch.id, or a branch's. That of the server,
    nats.pem in the directory, has the name or address by which it is reached.
    """
    config = load(path)
    targets = () if config.sync is None else config.sync.targets
    names = [target.branch for target in targets if target.via == "nats"]
    if not names:
        raise InputError('no branch is reached over NATS: give via = "nats" in its sync.targets')
    click.echo(configuration(config.branch.id, names, listen, directory), nl=False)
