"""Who may hear and say what at a server that `doorctl nats-config` configures; all by TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from nats import errors
from nats.aio.client import Client

from doorctl.extras.fleet.connection import OneKind
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
from doorctl.sources.branches import tls_context
from doorctl.store.signing_keys import read_public_keys, read_signing_key
from tests.e2e.sender import Sender
from tests.e2e.ways import secured
from tests.extras.fleet.nats_server import NatsServer
from tests.fakes.waiting import LIMIT_S
from tests.web.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom all trust."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[NatsServer]:
    """A server for two branches."""
    server = secured(tmp_path_factory.mktemp("server"), authority, "oest", "syd")
    server.start()
    yield server
    server.end()


class Person(Client):
    """Somebody at the server, by the certificate of a name; keeps what it is refused."""

    def __init__(self, name: str, server: NatsServer, context: ssl.SSLContext) -> None:
        super().__init__()
        self._name = name
        self._transport = OneKind(context)
        self._port = server.port
        self.refused: list[str] = []

    async def __aenter__(self) -> Self:
        """Connect."""

        async def failed(error: Exception) -> None:
            """Keep what is refused."""
            self.refused.append(str(error))

        url = f"tls://127.0.0.1:{self._port}"
        inbox = "_INBOX" if self._name == "sender" else inbox_of(self._name)
        await self.connect(url, error_cb=failed, allow_reconnect=False, inbox_prefix=inbox)
        return self

    async def may_hear(self, subject: str) -> bool:
        """Tell whether it may subscribe."""
        self.refused.clear()
        await self.subscribe(subject, cb=_ignored)
        await self.settle()
        return not self.refused

    async def may_say(self, subject: str, data: bytes = b"") -> bool:
        """Tell whether it may publish."""
        self.refused.clear()
        await self.publish(subject, data)
        await self.settle()
        return not self.refused

    async def settle(self) -> None:
        """Wait until the server has taken all that was sent."""
        # The first question may overtake what waits to be sent.
        await self.flush(int(LIMIT_S))
        await self.flush(int(LIMIT_S))


ENGINE = (
    reading(PUSHES, pushes_of("oest")),
    f"$JS.API.DIRECT.GET.{PUSHES}",
    f"$JS.API.STREAM.MSG.GET.{PUSHES}",
    f"$JS.API.STREAM.CREATE.{PUSHES}",
    f"$JS.API.STREAM.DELETE.{BODIES}",
    f"$JS.API.STREAM.PURGE.{PUSHES}",
    f"$JS.API.STREAM.INFO.{PUSHES}",
    "$JS.API.STREAM.NAMES",
    f"$JS.API.CONSUMER.CREATE.{PUSHES}",
    f"$JS.API.CONSUMER.DURABLE.CREATE.{PUSHES}.syd",
    f"$JS.API.CONSUMER.MSG.NEXT.{PUSHES}.oest",
    f"$JS.ACK.{PUSHES}.oest.1.1.1.1.0",
)
"""What would read another's pushes, or change what lies at the server."""


async def _ignored(_message: object) -> None:
    """Take a message."""


@pytest.fixture
def people(server: NatsServer, authority: Authority) -> dict[str, Person]:
    """The sender and both branches, not yet connected."""
    return {
        name: Person(name, server, tls_context(authority.path, *authority.issue(name)))
        for name in ("sender", "oest", "syd", "hub")
    }


def test_a_captured_branch_hears_its_own_subject_alone(people: dict[str, Person]) -> None:
    """Not another branch's, not all of them, not the sender's replies, not the server's own."""
    others = [subject_of("oest"), subject_of("*"), pushes_of("oest"), inbox_of("oest"), "doorctl.>"]
    others += [up_of("*", "*"), up_of("syd", "*")]
    others += [">", "_INBOX.>", "$SYS.>", "$JS.>", body_of("*", "*"), "a"]
    own = [subject_of("syd"), pushes_of("syd"), f"{inbox_of('syd')}.1"]

    async def heard() -> list[bool]:
        """Try each."""
        async with people["syd"] as syd:
            return [await syd.may_hear(name) for name in (*own, *others)]

    assert asyncio.run(heard()) == [*[True] * len(own), *[False] * len(others)]


def test_a_captured_branch_says_nothing_but_replies_and_how_it_is(
    people: dict[str, Person],
) -> None:
    """It can't pose as the sender at another branch, nor reply or report for another."""

    async def said() -> list[bool]:
        """Try each."""
        async with people["syd"] as syd:
            names = [subject_of("oest"), subject_of("syd"), "_INBOX.guessed.1", "a"]
            names += [pushes_of("oest"), pushes_of("syd"), body_of("ab", 0), inbox_of("oest")]
            names += [up_of("oest", "status"), "doorctl.up.syd"]
            own = await syd.may_say(up_of("syd", "status"))
            return [own, *[await syd.may_say(name) for name in (*names, *ENGINE)]]

    assert asyncio.run(said()) == [True, *[False] * (10 + len(ENGINE))]


def test_a_captured_hub_hears_how_branches_are_and_says_nothing(
    people: dict[str, Person],
) -> None:
    """No push, no body, no request, no branch's inbox; it can't report for a branch."""

    async def tried() -> tuple[list[bool], list[bool]]:
        """Try each."""
        async with people["hub"] as hub:
            hears = [up_of("*", "*"), f"{inbox_of('hub')}.1"]
            hears += [subject_of("oest"), pushes_of("oest"), body_of("*", "*"), inbox_of("oest")]
            says = [subject_of("oest"), pushes_of("oest"), up_of("oest", "status"), "a"]
            says += [body_of("ab", 0), reading(PUSHES, pushes_of("oest")), *ENGINE]
            # By a stream's settings it could have what others say passed on to itself.
            says += [f"$JS.API.STREAM.{deed}.{UP}" for deed in ("CREATE", "UPDATE", "DELETE")]
            return [await hub.may_hear(at) for at in hears], [await hub.may_say(at) for at in says]

    heard, said = asyncio.run(tried())

    assert heard == [True, True, False, False, False, False]
    assert said == [False] * len(said)


async def answer_of(person: Person, subject: str, data: bytes = b"") -> bytes | str | None:
    """Return what is answered: a message's content, an error's status, None for nothing."""
    try:
        answer = await person.request(subject, data, 2)
    except errors.TimeoutError:
        return None
    return answer.data or dict(answer.headers or {}).get("Status")


def test_what_lies_there_is_read_by_whom_it_is_for(people: dict[str, Person]) -> None:
    """A branch reads its own pushes and the bodies that all share, and nothing of another's.

    Nor can it have the server say what lies there at the subject of another, and so replace that:
    it takes a second message on a subject only once the sender has removed the first.
    """

    async def read() -> list[bytes | str | None]:
        """Leave something for both, and have one of them read."""
        async with people["oest"] as oest, people["sender"] as sender:
            for stream, subject in ((PUSHES, pushes_of("*")), (BODIES, body_of("*", "*"))):
                settings = {"name": stream, "subjects": [subject], "allow_direct": True}
                settings |= {"storage": "file", "retention": "limits", "num_replicas": 1}
                settings |= {"max_msgs_per_subject": 1, "discard": "new"}
                settings |= {"discard_new_per_subject": True}
                order = json.dumps(settings).encode()
                assert await answer_of(sender, f"$JS.API.STREAM.CREATE.{stream}", order)
            for subject in (pushes_of("oest"), pushes_of("syd"), body_of("ab", 0)):
                assert await answer_of(sender, subject, f"of {subject}".encode())
            misused = reading(PUSHES, pushes_of("oest"))
            await oest.publish(misused, b"", reply=pushes_of("syd"))
            await oest.settle()
            return [
                await answer_of(oest, reading(PUSHES, pushes_of("oest"))),
                await answer_of(oest, reading(BODIES, body_of("ab", 0))),
                await answer_of(oest, reading(BODIES, body_of("ab", 1))),
                await answer_of(oest, reading(PUSHES, pushes_of("syd"))),
                await answer_of(sender, reading(PUSHES, pushes_of("syd"))),
            ]

    own, body = b"of doorctl.push.oest", b"of doorctl.body.ab.0"
    assert asyncio.run(read()) == [own, body, "404", None, b"of doorctl.push.syd"]


def test_a_branch_replies_once_to_what_it_hears(people: dict[str, Person]) -> None:
    """That is all it may say, and the sender hears it."""

    async def asked() -> tuple[bytes, bool, bool]:
        """Ask, and be answered."""
        async with people["oest"] as oest, people["sender"] as sender:
            inboxes: list[str] = []

            async def reply(message: Any) -> None:
                """Reply."""
                inboxes.append(message.reply)
                await oest.publish(message.reply, b"here")

            await oest.subscribe(subject_of("oest"), cb=reply)
            await oest.settle()
            answer = await sender.request(subject_of("oest"), b"", LIMIT_S)
            again = await oest.may_say(inboxes[0], b"once more")
            return answer.data, again, await sender.may_hear(subject_of("oest"))

    assert asyncio.run(asked()) == (b"here", False, False)


def test_a_message_beyond_any_of_ours_is_refused(people: dict[str, Person]) -> None:
    """The sender's own end never makes one; the server ends the connection of who does."""

    async def said() -> tuple[bool, bool]:
        """Try each."""
        async with people["sender"] as sender:
            fits = await sender.may_say(subject_of("oest"), bytes(PIECE_BYTES))
            with pytest.raises(errors.Error):
                await sender.publish(subject_of("oest"), bytes(4 * PIECE_BYTES))
            return fits, True

    assert asyncio.run(said()) == (True, True)


def test_a_key_as_the_handbook_makes_it_signs_replies(tmp_path: Path) -> None:
    """By OpenSSL's command alone; its public half is what the sender reads."""
    key, public = tmp_path / "answers.key", tmp_path / "answers.pub"
    for words in (
        ("genpkey", "-algorithm", "ed25519", "-out", str(key)),
        ("pkey", "-in", str(key), "-pubout", "-out", str(public)),
    ):
        subprocess.run(["openssl", *words], check=True, capture_output=True)
    key.chmod(0o600)

    (read,) = read_public_keys([public])

    assert read.has_signed(read_signing_key(key).sign(b"reply"), b"reply")


def test_the_command_writes_what_the_server_takes(tmp_path: Path) -> None:
    """For the branches that are reached so, by the names in the file; none is a refusal."""
    sender = Sender(tmp_path)
    sender.add('[sync.nats]\nservers = ["tls://nats.example:4222"]\n')
    sender.target(
        {"branch": "oest", "via": "nats", "public_key_file": "a.pub"},
        {"branch": "nord", "url": "https://nord.example"},
    )
    written = sender.call("nats-config", "--listen", "127.0.0.1:1", "--directory", "/etc/here")

    assert written.returncode == 0, written.stderr
    text = written.stdout
    assert 'user: "CN=sender"' in text
    assert 'user: "CN=oest"' in text
    assert "nord" not in text
    assert 'cert_file: "/etc/here/nats.pem"' in text
    assert "sync_interval: always" in text

    hub = sender.call("nats-config", "--hub", "alle")
    assert 'user: "CN=alle"' in hub.stdout
    for taken in ("oest", "sender", "A B"):
        refused = sender.call("nats-config", "--hub", taken)
        assert (refused.returncode, refused.stdout) == (1, "")

    sender.target({"branch": "nord", "url": "https://nord.example"})
    none = sender.call("nats-config")
    assert none.returncode == 1
    assert none.stderr.startswith("doorctl: no branch is reached over NATS")
