"""What each table comes to: off by default, whole as it is written, nothing in the clear."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from doorctl.access.calendar import Mode
from doorctl.config.rules import HIGH_WHEN_CUT
from doorctl.config.tables import (
    Address,
    Alarms,
    Lms,
    Sync,
    Target,
    is_this_machine,
    read_address,
)
from doorctl.core.errors import ConfigError, DeviceError
from doorctl.devices.factory import open_factory
from doorctl.devices.inputs import GpioInputs, InputPin
from doorctl.extras.oidc import Oidc
from doorctl.extras.outputs import WiredOutput
from doorctl.extras.outputs.following import Output
from doorctl.extras.sip2 import Sip2
from tests.config.conftest import EMAIL, FBS, HOOK, OIDC, RIGHT, SENDER, SIP2, Configured

HANDED = Path("/run/credentials")


def test_nothing_is_sent_or_asked_by_default(configured: Configured) -> None:
    """Alarms stay in the journal, no library system and no identity provider is asked.

    A library system needs a kind, whatever else stands there.
    """
    config = configured(RIGHT)

    assert (config.alarms, config.alarms.wanted) == (Alarms(), False)
    assert (config.lms, config.lms.kind) == (Lms(), "")
    assert config.extras == ()
    assert not configured(RIGHT, "lms.url=https://cms.example", "lms.user=doorctl").lms.kind


def test_either_way_of_alarms_is_enough(configured: Configured, tmp_path: Path) -> None:
    """Paths count from the file and systemd's names are filled in; addresses keep their order."""
    password = "alarms.email.password_file=$CREDENTIALS_DIRECTORY/mail"
    mail = configured(RIGHT + EMAIL, "alarms.email.user=doorctl", password).alarms
    hook = configured(RIGHT + HOOK).alarms

    assert (mail.wanted, hook.wanted) == (True, True)
    assert mail.email.to == ("vagt@randers.example",)
    assert (mail.email.port, mail.email.security) == (587, "starttls")
    assert mail.email.password_file == HANDED / "mail"
    assert (mail.language, mail.min_interval_min, mail.most_per_hour) == ("da", 60.0, 20)
    assert hook.webhook.secret_file == tmp_path / "hook.secret"


def test_a_library_system_is_read_as_it_is_written(configured: Configured, tmp_path: Path) -> None:
    """FBS needs an account, SIP2 none; paths count from the file, systemd's names are filled in."""
    files = "lms.password_file=$CREDENTIALS_DIRECTORY/lms", "lms.ca_file=ca.pem"
    flags = 'lms.resident_classes=["VOKSEN"]', "lms.deny_flags=[6, 14]"
    fbs, sip2 = configured(RIGHT + FBS, *files).lms, configured(RIGHT + SIP2, *flags).lms
    assert isinstance(sip2, Sip2)

    assert (fbs.password_file, fbs.ca_file) == (HANDED / "lms", tmp_path / "ca.pem")
    assert (fbs.timeout_s, fbs.pause_min, fbs.row_days, fbs.pin_days) == (2.0, 10.0, 3, 30)
    assert (sip2.resident_classes, sip2.deny_flags) == (("VOKSEN",), (6, 14))
    assert hash(fbs)


def test_an_identity_provider_is_read_as_it_is_written(configured: Configured) -> None:
    """The groups in their order, whatever signs are in their names; the secret's path is whole."""
    (oidc,) = configured(RIGHT + OIDC).all_of(Oidc)

    assert oidc.roles == ("manager=CN=dør ledere,OU=x", "staff=doorctl-staff")
    assert oidc.client_secret_file == HANDED / "oidc"
    assert (oidc.name_claim, oidc.groups_claim) == ("preferred_username", "groups")


PLAIN = ("alarms.email.security=none", "alarms.email.user=u", "alarms.email.password_file=p")


@pytest.mark.parametrize(
    ("beside", "overrides"),
    [
        *((EMAIL, (f"alarms.email.host={host}", *PLAIN)) for host in ("127.0.0.1", "localhost")),
        (EMAIL, ("alarms.email.host=::1", *PLAIN)),
        (EMAIL, PLAIN[:1]),
        (HOOK, ("alarms.webhook.url=http://127.0.0.1:9/doorctl",)),
        *(
            (FBS, (f"lms.url={url}",))
            for url in ("http://127.0.0.1:8080/rest", "http://localhost", "http://[::1]:80")
        ),
        (FBS, ("lms.url=https://h",)),
        (OIDC, ("signin.oidc.issuer=http://127.0.0.1:8090/realm",)),
        ("", ("web.host=127.0.0.7",)),
        ("", ("web.host=::1",)),
        ("", ("web.host=localhost",)),
        ("", ("web.host=192.0.2.7", "web.allow_plain=true")),
        ("", ("web.host=192.0.2.7", "web.tls.certificate_file=c", "web.tls.key_file=k")),
        *(
            ("[hours]\nsource = 'website'\nwebsite_branch = '12'", (f"hours.website_url={url}",))
            for url in ("https://bibliotek.example", "http://localhost:8080")
        ),
    ],
)
def test_what_may_be_plain(configured: Configured, beside: str, overrides: tuple[str, ...]) -> None:
    """What ends on this machine, as a tunnel or for a trial; a relay of mail without an account.

    Elsewhere the web process listens under TLS, or where somebody has allowed plain HTTP.
    """
    name, _, value = overrides[0].partition("=")

    assert configured(RIGHT + beside, *overrides).origin.values[name] == value


@pytest.mark.parametrize(
    "overrides",
    [
        ("keypad.total_timeout_s=20", "keypad.digit_timeout_s=20"),
        ("door.held_open_s=20", "door.prewarn_s=19.9"),
        ("door.held_open_s=1", "door.prewarn_s=0"),
        ("door.release_s=20", "door.long_release_s=19"),
        ("door.release_s=0.5",),
        ("door.release_s=30.0",),
        (f"control.socket=/{'x' * 106}",),
        ("policy.code_entry=true", "keypad.port=/dev/ttyUSB1"),
        ("policy.code_entry=true", "panel.keypad=true"),
        *(
            (f"{name}={pin}", f"{level}={str(up).lower()}")
            for pin in (2, 3)
            for name, (level, up) in HIGH_WHEN_CUT.items()
        ),
    ],
)
def test_the_limits_are_allowed(configured: Configured, overrides: tuple[str, ...]) -> None:
    """The least and the most that a message names, equal time-outs, what is of use to nobody."""
    assert configured(RIGHT, *overrides) != configured(RIGHT)


LEVELS = dict(
    zip(HIGH_WHEN_CUT, ("contact_open", "exit_pressed", "fire", "other_door_open"), strict=True)
)
"""Each input's key, and what its level means."""


@pytest.mark.parametrize("name", LEVELS)
def test_what_the_configuration_lets_through_can_be_claimed(
    configured: Configured, tmp_path: Path, name: str
) -> None:
    """The rule about pulls and the pins of a real board agree on every pin and level."""
    level, _ = HIGH_WHEN_CUT[name]
    for pin, high in product(range(28), (True, False)):
        relay = f"gpio.relay_pin={26 if pin != 26 else 25}"
        factory, wired = open_factory("mock", tmp_path), {LEVELS[name]: InputPin(pin, high)}

        try:
            configured(RIGHT, f"{name}={pin}", f"{level}={str(high).lower()}", relay)
        except ConfigError:
            with pytest.raises(DeviceError):
                GpioInputs(factory, lambda: None, **wired)
        else:
            GpioInputs(factory, lambda: None, **wired).close()


def test_outputs_are_pins_or_commands(configured: Configured) -> None:
    """Each has a name, a pin or a command, its modes and its offsets; an announcement no modes."""
    text = """
    [[outputs]]
    name = "light"
    pin = 12
    modes = ["staffed", "self_service"]
    lead_min = 10
    lag_min = -5
    [[outputs]]
    name = "pcs"
    command = ["/usr/local/bin/pcs", "--all"]
    modes = []
    at_warnings = true
    """
    light, pcs = configured(RIGHT + text).all_of(WiredOutput)

    assert (light.pin, light.command) == (12, ())
    assert light.rule == Output("light", frozenset({Mode.STAFFED, Mode.SELF_SERVICE}), 10, -5)
    assert (pcs.pin, pcs.command) == (None, ("/usr/local/bin/pcs", "--all"))
    assert pcs.rule == Output("pcs", frozenset())
    assert (pcs.at_warnings, pcs.pulse_s) == (True, 10.0)


TARGET = '[[sync.targets]]\nbranch = "oest"\nurl = "https://127.0.0.1:8080"\n'


def test_a_senders_file_needs_no_door(configured: Configured, tmp_path: Path) -> None:
    """A sender names its feed and its branches; a reader it has not.

    It is set up before its first branch is paired with it.
    """
    config = configured(SENDER + TARGET)

    assert config.sync == Sync(
        feed=tmp_path / "exports",
        targets=(Target(branch="oest", url="https://127.0.0.1:8080"),),
    )
    assert config.reader.port == ""
    assert hash(config)
    assert configured(SENDER).sync == Sync(feed=tmp_path / "exports")
    assert configured(RIGHT).sync is None


def test_paths_of_a_sender_count_from_the_file(configured: Configured, tmp_path: Path) -> None:
    """Relative paths are of the file's directory, and systemd's credentials are found."""
    files = 'ca_file = "ca.pem"\ncertificate_file = "/c.pem"\n'
    key = 'key_file = "$CREDENTIALS_DIRECTORY/sender.key"\n'
    overrides = ["sync.signing_key_file=$CREDENTIALS_DIRECTORY/k", "sync.state_directory=state"]

    sync = configured(SENDER + TARGET + files + key, *overrides).sync

    assert sync is not None
    assert (sync.signing_key_file, sync.state_directory) == (HANDED / "k", tmp_path / "state")
    (target,) = sync.targets
    assert (target.ca_file, target.certificate_file) == (tmp_path / "ca.pem", Path("/c.pem"))
    assert target.key_file == HANDED / "sender.key"


def test_an_address_in_its_parts() -> None:
    """Host and port are found, IPv6 brackets taken off, a final slash dropped."""
    assert read_address("sip2s://[2001:db8::1]:6002/") == Address("sip2s", "2001:db8::1", 6002, "")
    assert read_address("https://cms.example/rest/") == Address(
        "https", "cms.example", None, "/rest"
    )
    assert read_address("https://cms.example:99999") is None


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost")),
        *((host, False) for host in ("0.0.0.0", "192.0.2.7", "127.0.0.1.example", "", "::")),  # noqa: S104 - refused
    ],
)
def test_this_machine(host: str, *, is_here: bool) -> None:
    """Loopback addresses and their one name; any other name may be another machine's tomorrow."""
    assert is_this_machine(host) is is_here
