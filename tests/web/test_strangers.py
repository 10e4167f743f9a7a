"""What a branch tells on the network to whom it does not know, at a real process.

They come from 127.0.0.2 and onwards: 127.0.0.1 and ::1 are this machine.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from doorctl.sources.branches import HttpBranch
from doorctl.store.signing_keys import create_signing_key, read_signing_key
from doorctl.sync.branch import Held
from doorctl.sync.exchange import question_signed, signed
from doorctl.sync.signing import SigningKey
from tests.fakes.waiting import LIMIT_S
from tests.web.branch import EPOCH, SNAPSHOT, Branch, rows

PLAIN = ssl.create_default_context()
SENDER, STRANGER = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def branch(branch: Branch) -> Branch:
    """A branch that holds push 1 of 100 patrons."""
    branch.fill()
    return branch


def asked(branch: Branch, method: str, path: str, by: str, **request: Any) -> httpx2.Response:
    """Ask from an address."""
    way = httpx2.HTTPTransport(local_address=by, trust_env=False)
    with httpx2.Client(transport=way, timeout=LIMIT_S) as client:
        return client.request(method, f"http://127.0.0.1:{branch.port}{path}", **request)


def told(branch: Branch, by: str, header: str = "") -> dict[str, Any]:
    """Ask what is held."""
    headers = {"Authorization": header} if header else {}
    answer: dict[str, Any] = asked(branch, "GET", EPOCH, by, headers=headers).json()
    return answer


def headers_of_strangers(key: SigningKey) -> Iterator[str]:
    """Yield what no sender of the branch sends; the key is none of the branch's."""
    right = question_signed("demo", key)
    yield from ("", "Doorctl", "Doorctl AAAA", "Doorctl !", "Basic YTpi", right.lower(), right)


def test_a_stranger_learns_no_number_no_digest_and_no_end_of_the_audit_log(branch: Branch) -> None:
    """Bug (second penetration test, 2.16): whoever asked got all three.

    Nor does a key of somebody else's help, nor one of ours for another branch.
    """
    create_signing_key(branch.directory / "other.key", branch.directory / "other.pub")
    held, other = branch.held(), read_signing_key(branch.directory / "other.key")
    assert (held["epoch"], held["patrons"]) == (1, 100)

    for header in [*headers_of_strangers(other), question_signed("demo2", branch.key)]:
        said = told(branch, STRANGER, header)
        assert (said["epoch"], said["digest"], said["audit_head"]) == (0, "", None)
        assert "patrons" not in said
        assert not {held["digest"], held["audit_head"]} & {str(value) for value in said.values()}


def test_a_sender_that_signs_its_question_is_told_all(branch: Branch) -> None:
    """It needs the number, the digest and the log's end; its address alone says nothing."""
    said = told(branch, SENDER, question_signed("demo", branch.key))

    assert said == branch.held()
    assert told(branch, SENDER)["epoch"] == 0


def test_the_sender_of_this_release_signs_its_question(branch: Branch) -> None:
    """As it is wired: by the header, which a branch of 0.2 passes over."""
    url, question = f"http://127.0.0.1:{branch.port}", question_signed("demo", branch.key)
    held = HttpBranch("demo", url, PLAIN, question=question).held()
    assert isinstance(held, Held)
    assert held.epoch == 1


def test_a_sender_of_0_2_is_known_by_what_it_signs(branch: Branch) -> None:
    """It asks unsigned. What it sends then is signed, and from there on its address is told all.

    Its first snapshot may have a number that is held: that is no conflict of two senders, so there
    is no alarm.
    """
    said = told(branch, SENDER)
    assert said["epoch"] == 0
    first = branch.document(rows(3), 1, approved_by="test")
    assert asked(branch, "PUT", SNAPSHOT, SENDER, content=first).status_code == 409
    assert told(branch, SENDER)["epoch"] == 1
    second = branch.document(rows(3), 2, approved_by="test")
    assert asked(branch, "PUT", SNAPSHOT, SENDER, content=second).status_code == 200

    assert told(branch, STRANGER)["epoch"] == 0
    assert "push_conflict" not in {line.get("kind") for line in branch.lines}


def test_a_message_makes_its_sender_known_and_a_bad_one_does_not(branch: Branch) -> None:
    """The exchange comes before the push."""
    path, nonce = "/v1/patrons/exchange", told(branch, SENDER)["nonce"]
    other = SigningKey()
    bad = signed("demo", nonce, other, heads={})
    assert asked(branch, "POST", path, SENDER, content=bad).status_code == 401
    assert asked(branch, "PUT", SNAPSHOT, SENDER, content=b"{").status_code in {401, 422}
    assert told(branch, SENDER)["epoch"] == 0
    good = signed("demo", nonce, branch.key, heads={})
    assert asked(branch, "POST", path, SENDER, content=good).status_code == 200
    assert told(branch, SENDER)["epoch"] == 1
