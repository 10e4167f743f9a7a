"""Alarms by webhook, to a real HTTP server: signed, believed, never redirected."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from doorctl.core.masked import Masked
from doorctl.core.ports import NotSentError
from doorctl.notices.ways import WebhookSink
from tests.notices.mail_server import speaking
from tests.notices.samples import BRANCH, a_notice
from tests.sources.branch_server import Script, serving
from tests.web.certificates import Authority

SECRET = "a-shared-Secret~1"


@contextmanager
def sink(url: str, authority: Path | None = None, **limits: float) -> Iterator[WebhookSink]:
    """Make a sink that believes one authority, and close it."""
    context = ssl.create_default_context(cafile=authority)
    made = WebhookSink(url, Masked(SECRET), context, **limits)
    try:
        yield made
    finally:
        made.close()


def test_the_document_says_all_and_is_signed() -> None:
    """Whoever has the secret can tell that it is ours and whole; a second try has the same id."""
    script = Script(status=204, body=b"")
    notice = a_notice("door_held_cleared", "closed again", times=2)
    with serving(script) as port, sink(f"http://127.0.0.1:{port}/doorctl") as way:
        way.send(notice)
        way.send(notice)

    (first, second) = script.requests
    method, path, body, headers = first
    assert (method, path, body) == ("POST", "/doorctl", second[2])
    assert headers["Content-Type"] == "application/json"
    wanted = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Doorctl-Signature"] == f"sha256={wanted}"
    assert json.loads(body) == {
        "format": "doorctl-alarm/1",
        "id": notice.id,
        "branch": BRANCH,
        "kind": "door_held_cleared",
        "urgency": "note",
        "at": "2026-03-02T19:04:05+01:00",
        "clock": "trusted",
        "times": 2,
        "clears": "door_held",
        "why": "closed again",
        "means": {"da": "Døren er lukket igen.", "en": "The door is closed again."},
        "do": {"da": "Der skal ikke gøres noget.", "en": "Do nothing."},
    }


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
def test_anything_but_success_is_not_sent(status: int) -> None:
    """A redirect is not followed: an alarm goes where the configuration says, or nowhere."""
    script = Script(status=status, headers={"Location": "/elsewhere"})
    with (
        serving(script) as port,
        sink(f"http://127.0.0.1:{port}/") as way,
        pytest.raises(NotSentError, match=f"HTTP status {status}"),
    ):
        way.send(a_notice())

    assert [path for _, path, _, _ in script.requests] == ["/"]


def test_the_certificate_must_be_believed(tmp_path: Path) -> None:
    """Over TLS to whom the configuration's authority vouches for, and to nobody else."""
    authority = Authority(tmp_path, "authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("hook"))
    script = Script()
    with serving(script, context) as port:
        with sink(f"https://127.0.0.1:{port}", authority.path) as way:
            way.send(a_notice())
        with (
            sink(f"https://127.0.0.1:{port}") as way,
            pytest.raises(NotSentError, match=r"not accepted: .*see alarms\.webhook\.ca_file"),
        ):
            way.send(a_notice())

    assert len(script.requests) == 1


def test_nobody_there_is_told() -> None:
    """A port where nothing listens is a plain refusal."""
    with speaking(b"") as port:
        pass
    with (
        sink(f"http://127.0.0.1:{port}") as way,
        pytest.raises(NotSentError, match=r"the webhook: no connection \(Connection refused\)"),
    ):
        way.send(a_notice())


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 2", b"220 mail\r\n"])
def test_a_server_that_hangs_up_is_told(said: bytes) -> None:
    """At whatever word it breaks off, it is one of our own errors, without our words in it."""
    with (
        speaking(said) as port,
        sink(f"http://127.0.0.1:{port}") as way,
        pytest.raises(NotSentError, match="the webhook") as caught,
    ):
        way.send(a_notice())

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_silent_server_is_left() -> None:
    """It takes the call and says nothing: the wait has an end."""
    with (
        speaking(b"", hold=threading.Event()) as port,
        sink(f"http://127.0.0.1:{port}", silence_s=0.2) as way,
        pytest.raises(NotSentError, match="does not answer in time"),
    ):
        way.send(a_notice())


def test_the_secret_can_not_be_printed() -> None:
    """It stands in no message and in no representation."""
    with sink("http://127.0.0.1:9") as way:
        assert SECRET not in repr(vars(way))
