"""A branch as its sender asks it, over each way: HTTP, and NATS with the branch's own end there."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from doorctl.core.errors import KeyFileError
from doorctl.sources.branches import AskedBranch, HttpBranch, tls_context
from doorctl.sync.branch import Away, Held, OutOfOrder, Refused, Taken
from doorctl.sync.document import Kind
from doorctl.sync.exchange import Exchanged
from tests.extras.fleet.ends import ScriptedApp, ends
from tests.extras.fleet.nats_server import NatsServer, serving_nats
from tests.notices.mail_server import speaking
from tests.sources.http_server import Script, serving
from tests.web.certificates import Authority

PLAIN = ssl.create_default_context()
NONE = Path()
CONTENT = b"document " * 20_000

HELD = {"epoch": 41, "digest": "ab" * 32, "nonce": "n", "key_id": "0badcafe", "minimum_age": 14}


def held(**changed: Any) -> Held:
    """Return what a branch holds."""
    return msgspec.convert(HELD | changed, Held)


@pytest.fixture
def script() -> Script:
    """What the branch of a test answers."""
    return Script()


def reached(port: int, context: ssl.SSLContext | None = None, wait_s: float = 10) -> HttpBranch:
    """Return a sender's view of what listens on a port."""
    scheme = "http" if context is None else "https"
    url = f"{scheme}://127.0.0.1:{port}/"
    return HttpBranch("oest", url, context or PLAIN, apply_s=wait_s, ask_s=wait_s)


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """A server for all tests."""
    with serving_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(params=["http", "nats"])
def branch(script: Script, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[AskedBranch]:
    """A branch that answers as the script says."""
    if request.param == "http":
        with serving(script) as port:
            yield reached(port)
        return
    server: NatsServer = request.getfixturevalue("nats")
    with ends(tmp_path, server.url, ScriptedApp(script)) as both:
        yield both.reached()


def document() -> BytesIO:
    """A document that was read before."""
    content = BytesIO(CONTENT)
    content.read()
    return content


def test_it_is_asked_what_it_holds(branch: AskedBranch, script: Script) -> None:
    """What else it says is its own affair, now as later: a younger branch may say more."""
    script.say(200, {**HELD, "patrons": 7, "younger": []})

    assert branch.held() == held()
    assert [request[:3] for request in script.requests] == [("GET", "/v1/patrons/epoch", b"")]


@pytest.mark.parametrize(
    "head", [f"41:{'0f' * 32}", None, "", "41", 7, ["x"], f"41:{'G' * 64}", "\x1b[2J"]
)
def test_the_end_of_its_audit_log_is_kept(
    head: object, branch: AskedBranch, script: Script
) -> None:
    """To be anchored here, where nobody at the branch can change it.

    One that is none holds up no push, and nothing of it steers a terminal or a log.
    """
    script.say(200, {**HELD, "audit_head": head})
    right = isinstance(head, str) and head.endswith("0f")

    assert branch.held() == held(audit_head=head if right else None)


def test_a_message_is_told(branch: AskedBranch, script: Script) -> None:
    """What the branch answers is a number; fields of a younger one are passed over."""
    script.say(200, {"agreed": 7, "younger": []})

    assert branch.exchange(b"word") == Exchanged(7)
    assert script.requests[-1][:3] == ("POST", "/v1/patrons/exchange", b"word")


@pytest.mark.parametrize(
    ("status", "said", "answer"),
    [(200, {"agreed": -1}, Refused), (200, {}, Refused), (503, {}, Away), (409, {}, OutOfOrder)],
)
def test_a_message_that_is_not_taken(
    branch: AskedBranch, script: Script, status: int, said: dict[str, Any], answer: type
) -> None:
    """Is no error of the sender's."""
    script.say(status, said)

    assert isinstance(branch.exchange(b"word"), answer)


@pytest.mark.parametrize(
    ("kind", "method", "path"),
    [
        ("snapshot", "PUT", "/v1/patrons"),
        ("changes", "POST", "/v1/patrons/changes"),
        (None, "POST", "/v1/patrons/rehearsal"),
    ],
)
def test_a_document_goes_to_where_its_kind_goes(
    branch: AskedBranch, script: Script, kind: Kind | None, method: str, path: str
) -> None:
    """Whole, from its beginning, with its length, and a second time just so.

    One that is only to be checked goes where nothing is applied: an older branch answers 404.
    """
    script.say(200, {"epoch": 42, "applied": 3, "unchanged": False})
    sent = document()

    assert branch.send(sent, kind) == Taken(42)
    assert branch.send(sent, kind) == Taken(42)
    for request in script.requests:
        assert request[:3] == (method, path, CONTENT)
        assert request[3]["Content-Length"] == str(len(CONTENT))
        assert request[3]["Content-Encoding"] == "gzip"
        assert "Transfer-Encoding" not in request[3]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 301, 204, 418])
def test_what_is_final(branch: AskedBranch, script: Script, status: int) -> None:
    """A refusal is passed on with the branch's own words, and is not to be tried again."""
    script.say(status, {"error": "x", "problems": ["line 2: pin: missing", "line 9: ref"]})
    if status == 204:
        script.body = b""

    answer = branch.send(document(), "changes")

    assert isinstance(answer, Refused)
    assert ("(line 2: pin: missing; line 9: ref)" in answer.why) == (status != 204)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_be_otherwise_later(branch: AskedBranch, script: Script, status: int) -> None:
    """With the seconds for which the branch asks to be left alone."""
    script.say(status, {"error": "busy"}, Retry_After="7")

    answer = branch.held()

    assert isinstance(answer, Away)
    assert answer.retry_after_s == 7.0
    assert "busy" in answer.why


@pytest.mark.parametrize("written", ["", "soon", "-1", "Wed, 25 Nov 2026 10:00:00 GMT", "1e9", "²"])
def test_a_time_to_come_again_that_is_none(
    branch: AskedBranch, script: Script, written: str
) -> None:
    """Is as good as not given."""
    script.say(503, {})
    script.headers = {"Retry-After": written.encode().decode("latin-1")}

    answer = branch.held()

    assert isinstance(answer, Away)
    assert answer.retry_after_s == 0.0


def test_a_conflict_is_its_own_answer(branch: AskedBranch, script: Script) -> None:
    """So that everything is sent; as the answer to a question it is a refusal."""
    script.say(409, {"error": "out_of_order", "why": "push 9 is held"})

    assert branch.send(document(), "changes") == OutOfOrder(
        "it answers with HTTP status 409 (push 9 is held)"
    )
    assert isinstance(branch.held(), Refused)


@pytest.mark.parametrize("epoch", [2**53, 2**53 + 1, 2**63 - 1])
def test_a_number_that_none_can_follow_is_told(
    branch: AskedBranch, script: Script, epoch: int
) -> None:
    """It is our branch, and somebody has to give it a lower one: the sender says how."""
    script.say(200, HELD | {"epoch": epoch})

    answer = branch.held()

    assert (answer == held(epoch=epoch)) is (epoch == 2**53)
    if isinstance(answer, Refused):
        assert answer.why.startswith(
            f"it holds push {epoch}, a number that none of our pushes can follow"
        )
        assert "doorctl patrons renumber NUMBER" in answer.why


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b"\xff",
        *(HELD | {"epoch": epoch} for epoch in (-1, "1", 99999999999999999999, None)),
        HELD | {"digest": 7},
        {name: value for name, value in HELD.items() if name != "key_id"},
        json.dumps(HELD).encode() + b" " * 70_000,
    ],
)
def test_something_else_that_answers_is_no_branch(
    branch: AskedBranch, script: Script, body: bytes | dict[str, object]
) -> None:
    """A login page of a hotel network, or a number that can't be: nothing is sent there."""
    script.body = body if isinstance(body, bytes) else json.dumps(body).encode()

    assert branch.held() == Refused("what answers there is no doorctl; see sync.targets")


def test_a_branchs_words_steer_no_terminal(branch: AskedBranch, script: Script) -> None:
    """Control characters are dropped and a long speech is cut."""
    script.say(422, {"why": "\x1b[2Jgone\n\r" + "x" * 5000})

    answer = branch.send(document(), "changes")

    assert isinstance(answer, Refused)
    assert answer.why.isprintable()
    assert "[2Jgone" in answer.why
    assert len(answer.why) < 700


@pytest.mark.parametrize("body", [b"oops", b"[1]", b'{"why": 5}', b'{"problems": [1, "a"]}'])
def test_a_refusal_without_words_has_ours(branch: AskedBranch, script: Script, body: bytes) -> None:
    """What can't be read is left out."""
    script.status, script.body = 401, body

    answer = branch.held()

    assert isinstance(answer, Refused)
    assert answer.why.startswith("it does not accept our signature")


def test_a_hanging_branch() -> None:
    """One that takes the document and never answers is left after its own time."""
    with speaking(b"", hold=threading.Event()) as port:
        answer = reached(port, wait_s=0.2).send(document(), "changes")

    assert answer == Away("it does not answer in time")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom both sides trust."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture
def https(script: Script, authority: Authority) -> Iterator[int]:
    """The port of a branch that asks for the sender's certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*authority.issue("branch"))
    script.say(200, HELD)
    with serving(script, context) as port:
        yield port


def test_both_sides_show_a_certificate(https: int, authority: Authority, script: Script) -> None:
    """Who is trusted on both sides is heard."""
    context = tls_context(authority.path, *authority.issue("sender"))

    assert reached(https, context).held() == held()
    assert len(script.requests) == 1


def test_without_a_certificate_nothing_is_heard(
    https: int, authority: Authority, script: Script
) -> None:
    """The branch breaks off before it reads a request."""
    context = tls_context(authority.path, NONE, NONE)

    assert isinstance(reached(https, context).held(), Away)
    assert script.requests == []


def test_plain_words_to_a_tls_branch(https: int) -> None:
    """An address with http for https is told as no connection, not as a bug."""
    assert isinstance(reached(https).held(), Away | Refused)


def test_certificates_that_are_none(authority: Authority, tmp_path: Path) -> None:
    """A wrong file is told before anything is sealed, and no password is asked for."""
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    certificate, _ = authority.issue("sender")

    for files in (
        (junk, NONE, NONE),
        (tmp_path / "none", NONE, NONE),
        (NONE, junk, junk),
        (NONE, certificate, junk),
        (authority.path, certificate, tmp_path / "none"),
    ):
        with pytest.raises(KeyFileError):
            tls_context(*files)
