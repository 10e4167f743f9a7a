"""The tables about signing in: off by default, whole or told, nothing in the clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.conftest import RIGHT, Configured, Wrong

OIDC = """
[signin.oidc]
issuer = "https://login.example/realms/kommune"
client_id = "doorctl-oest"
client_secret_file = "$CREDENTIALS_DIRECTORY/oidc"
redirect_url = "https://door-oest.example/sign-in/municipality/back"
roles = ["manager=CN=dør ledere,OU=x", "staff=doorctl-staff"]
"""


@pytest.fixture
def loaded(configured: Configured) -> Configured:
    """Return a function that loads a table, where systemd hands over credentials."""
    environment = {"CREDENTIALS_DIRECTORY": "/run/credentials"}
    return lambda text, *more: configured(RIGHT + text, *more, environment=environment)


def test_no_identity_provider_is_asked_by_default(loaded: Configured) -> None:
    """Local accounts need no table; they are made by a command."""
    assert not loaded("").signin.oidc.issuer


def test_an_identity_provider_is_read_as_it_is_written(loaded: Configured) -> None:
    """The groups in their order, whatever signs are in their names; the secret's path is whole."""
    oidc = loaded(OIDC).signin.oidc

    assert oidc.roles == ("manager=CN=dør ledere,OU=x", "staff=doorctl-staff")
    assert oidc.client_secret_file == Path("/run/credentials/oidc")
    assert (oidc.name_claim, oidc.groups_claim) == ("preferred_username", "groups")


@pytest.mark.parametrize(
    "missing",
    ['issuer=""', 'client_id=""', 'client_secret_file=""', 'redirect_url=""', "roles=[]"],
)
def test_half_a_provider_is_told(wrong: Wrong, missing: str) -> None:
    """Whoever forgets a key learns of it at the start, and not at the first sign-in."""
    key = f"signin.oidc.{missing.partition('=')[0]}"

    assert f"{key}: missing beside" in "\n".join(wrong(OIDC, f"signin.oidc.{missing}"))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("issuer=http://login.example", "anybody on the way"),
        ("redirect_url=http://door.example/x", "anybody on the way"),
        ("redirect_url=https://door.example/x", "it has to end with /sign-in/municipality/back"),
        ("issuer=https://login.example:99999", "port is none"),
        ("issuer=login.example", "give an address"),
        ('roles=["king=x"]', "ROLE=GROUP"),
        ('roles=["staff="]', "ROLE=GROUP"),
        ('groups_claim=""', "visible ASCII"),
    ],
)
def test_what_can_not_be_used_is_told(wrong: Wrong, override: str, told: str) -> None:
    """Each with its key."""
    key = override.partition("=")[0]
    lines = "\n".join(wrong(OIDC, f"signin.oidc.{override}"))

    assert f"signin.oidc.{key}" in lines
    assert told in lines


def test_this_machine_may_be_asked_in_the_clear(loaded: Configured) -> None:
    """For a trial, and for what stands in front and encrypts."""
    override = "signin.oidc.issuer=http://127.0.0.1:8090/realm"

    assert loaded(OIDC, override).signin.oidc.issuer
