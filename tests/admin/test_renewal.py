"""The next certificate of web, and the next signing key, beside the old ones."""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509

from doorctl.admin import pairing
from doorctl.admin.certificate import make_certificate, openssl
from doorctl.config.tables import Setup
from doorctl.core.errors import InputError
from doorctl.sources.branches import tls_context
from doorctl.store.key_age import days_of
from doorctl.store.signing_keys import PUBLIC, create_signing_key, read, read_public_keys
from tests.admin.pairs import Pair, laid_out, stopped_at
from tests.web.certificates import Authority, shaken_hands


def self_signed(directory: Path, name: str = "branch") -> None:
    """Have the branch's pages served by a certificate as `doorctl setup` makes it."""
    own = Setup(certificate="self-signed", web_name="127.0.0.1")
    make_certificate(own, directory)
    for end in ("pem", "key"):
        (directory / f"web.{end}").replace(directory / f"{name}.{end}")


def reaches(pair: Pair) -> bool:
    """Tell whether the server's sender trusts what the branch serves, checked by TLS itself."""
    sync, tls = pair.server.sync, pair.branch.web.tls
    assert sync is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate_file, tls.key_file)
    no_client = Path()
    client = tls_context(sync.targets[0].ca_file, no_client, no_client)
    return shaken_hands(context, client, "127.0.0.1")


def test_a_certificate_is_renewed_wherever_it_is_stopped(tmp_path: Path) -> None:
    """Made on the branch, trusted on the server, served by the branch: the server reaches it.

    Killed at any touch of a file it does so as well, and the same command again goes on.
    """
    pair = laid_out(tmp_path)
    self_signed(tmp_path / "branch")
    pair.begin()
    pair.answer()
    first, later = (tmp_path / "branch" / name for name in ("branch.pem", "branch-next.pem"))
    before, old = days_of(first), first.read_bytes()
    steps = (
        lambda: pairing.renew_certificate(pair.branch),
        lambda: pairing.adopt_public(pair.server, later, only=False),
        lambda: pairing.adopt_public(pair.branch, later, only=False),
    )
    for step in steps:
        number = 0
        while stopped_at(number := number + 1, step):
            assert reaches(pair)
        assert number > 2
        assert reaches(pair)

    after = days_of(first)
    assert before
    assert after
    assert after.ends >= before.ends
    assert old != first.read_bytes() == later.read_bytes()


def test_what_is_no_renewal_is_refused(pair: Pair) -> None:
    """Another key, another name, an earlier end, a branch that nobody knows: nothing changes."""
    branch = pair.base / "branch"
    self_signed(branch)
    pair.begin()
    pair.answer()
    sooner, pem, key = (branch / name for name in ("sooner.pem", "branch.pem", "branch.key"))
    ends = ("-days", "9", "-out", str(sooner))
    openssl("x509", "-in", str(pem), "-signkey", str(key), *ends)
    other, _ = Authority(branch, "other").issue("other")
    before = pair.content("server", "branch")
    for config, file, why in (
        (pair.branch, other, "of another key"),
        (pair.branch, sooner, "ends before"),
        (pair.server, other, "of no branch"),
    ):
        with pytest.raises(InputError, match=why):
            pairing.adopt_public(config, file, only=False)
    assert pair.content("server", "branch") == before


def test_an_authority_is_asked_for_its_next_certificate(pair: Pair) -> None:
    """By a request with the same names and key."""
    made = x509.load_pem_x509_csr(pairing.renew_certificate(pair.branch).read_bytes())
    old = x509.load_pem_x509_certificate((pair.base / "branch" / "branch.pem").read_bytes())

    assert (made.is_signature_valid, made.subject) == (True, old.subject)
    assert made.public_key() == old.public_key()
    kind = x509.SubjectAlternativeName
    names = [one.extensions.get_extension_for_class(kind).value for one in (made, old)]
    assert names[0] == names[1]


def test_a_signing_key_counts_beside_the_old_one_until_that_is_dropped(pair: Pair) -> None:
    """Killed anywhere, the branch takes pushes of one that it took before; never of none."""
    pair.begin()
    pair.answer()
    pair.finish()
    (old,) = pair.branch.web.push.public_key_files
    new = pair.base / "next.pub"
    create_signing_key(new.with_suffix(".key"), new)
    with pytest.raises(InputError, match="not taken yet"):
        pairing.adopt_public(pair.branch, new, only=True)

    def taken() -> list[bytes]:
        return [key.content for key in read_public_keys(pair.branch.web.push.public_key_files)]

    keys = [read(PUBLIC, path) for path in (old, new)]
    for only, states in ((False, [keys[:1], keys]), (True, [keys, keys[1:]])):
        number = 0
        while stopped_at(
            number := number + 1, partial(pairing.adopt_public, pair.branch, new, only=only)
        ):
            assert taken() in states
        assert number > 2
        assert taken() == states[1]
