"""The table about the library system: what is right, and what is wrong between its keys."""

from collections.abc import Callable
from pathlib import Path

import pytest

from doorctl.config.tables import Address, Lms, is_this_machine, read_address
from tests.config.conftest import RIGHT, Configured, Wrong

FBS = {
    "kind": "'fbs'",
    "url": "'https://cms.example/rest'",
    "agency": "'DK-773000'",
    "user": "'doorctl'",
    "password_file": "'lms.password'",
}
SIP2 = {"kind": "'sip2'", "url": "'sip2s://sip2.example:6002'", "agency": "'DK-773000'"}
AN_ADDRESS = (
    'give an address that begins with https://, http://, sip2s:// or sip2://, or "", '
    'such as "sip2s://sip2.example:6002"'
)

Loading = Callable[..., Lms]


@pytest.fixture
def loaded(configured: Configured) -> Loading:
    """Return a function that loads keys of the table."""

    def load_keys(**keys: str) -> Lms:
        table = "\n".join(f"{leaf} = {value}" for leaf, value in keys.items())
        environment = {"CREDENTIALS_DIRECTORY": "/run/credentials"}
        return configured(f"{RIGHT}[lms]\n{table}\n", environment=environment).lms

    return load_keys


def test_nothing_is_asked_by_default(loaded: Loading) -> None:
    """Without a kind there is no library system, whatever else stands there."""
    assert loaded() == Lms()
    assert not loaded().kind
    assert not loaded(url="'https://cms.example'", user="'doorctl'").kind


def test_a_whole_table_is_right(loaded: Loading, tmp_path: Path) -> None:
    """FBS needs an account, SIP2 none; paths count from the file, systemd's names are filled in."""
    fbs = loaded(**{**FBS, "password_file": "'$CREDENTIALS_DIRECTORY/lms'"}, ca_file="'ca.pem'")
    sip2 = loaded(**SIP2, resident_classes="['VOKSEN']", deny_flags="[6, 14]")

    assert (fbs.password_file, fbs.ca_file) == (Path("/run/credentials/lms"), tmp_path / "ca.pem")
    assert (fbs.timeout_s, fbs.pause_min, fbs.row_days, fbs.pin_days) == (2.0, 10.0, 3, 30)
    assert (sip2.resident_classes, sip2.deny_flags) == (("VOKSEN",), (6, 14))
    assert hash(fbs)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/rest", "http://localhost", "http://[::1]:80", "https://h"]
)
def test_plain_http_stays_on_this_machine(loaded: Loading, url: str) -> None:
    """What ends here may be plain: a tunnel, or a stand-in."""
    assert loaded(**{**FBS, "url": f"'{url}'"}).url == url


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"url": "'cms.example'"}, f'lms.url: found "cms.example"; {AN_ADDRESS}'),
        (
            {"url": "'https://user:secret@cms.example'"},
            f'lms.url: found "https://user:secret@cms.example"; {AN_ADDRESS}',
        ),
        ({"url": "'https://h/a?b=c'"}, f'lms.url: found "https://h/a?b=c"; {AN_ADDRESS}'),
        (
            {"resident_classes": "['A|B']"},
            (
                'lms.resident_classes: found ["A|B"]; give a list of classes of 1 to 32 visible '
                'ASCII characters without |, such as ["VOKSEN", "BARN"]'
            ),
        ),
    ],
)
def test_a_wrong_key_is_one_line(wrong: Wrong, keys: dict[str, str], expected: str) -> None:
    """Each key is checked by itself, even where no library system is asked."""
    assert wrong(**keys) == [expected]


IN_THE_CLEAR = "which sends PINs to another machine in the clear; give"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"kind": "'fbs'"},
            [
                f'lms.{leaf}: missing beside lms.kind = "fbs"; give it'
                for leaf in ("url", "agency", "user", "password_file")
            ],
        ),
        (
            {"kind": "'sip2'", "user": "'doorctl'"},
            [
                'lms.url: missing beside lms.kind = "sip2"; give it',
                "lms.password_file: missing beside lms.user; give it",
            ],
        ),
        (
            {**SIP2, "password_file": "'p'"},
            ["lms.user: missing beside lms.password_file; give it"],
        ),
        *(
            (
                {**FBS, "url": f"'{url}'"},
                [
                    (
                        f'lms.url: found "{url}", which is no address for fbs; give one such as '
                        '"https://cms.example/rest"'
                    )
                ],
            )
            for url in ("sip2s://h:6002", "https://h:65536")
        ),
        *(
            (
                {**SIP2, "url": f"'{url}'"},
                [
                    (
                        f'lms.url: found "{url}", which is no address for sip2; give one such as '
                        '"sip2s://sip2.example:6002"'
                    )
                ],
            )
            for url in ("https://h", "sip2s://h", "sip2s://h:0", "sip2s://h:6002/path")
        ),
        (
            {**FBS, "url": "'http://cms.example'"},
            [f'lms.url: found "http://cms.example", {IN_THE_CLEAR} https://'],
        ),
        (
            {**SIP2, "url": "'sip2://192.0.2.7:6001'"},
            [f'lms.url: found "sip2://192.0.2.7:6001", {IN_THE_CLEAR} sip2s://'],
        ),
        (
            {**SIP2, "url": "'sip2://127.0.0.1:6001'", "ca_file": "'ca.pem'"},
            ['lms.ca_file: does nothing beside "sip2://127.0.0.1:6001"; leave it out'],
        ),
        (
            {**FBS, "terminal_password_file": "'t'", "deny_flags": "[6]", "checksum": "false"},
            [
                f'lms.{leaf}: does nothing beside lms.kind = "fbs"; leave it out'
                for leaf in ("terminal_password_file", "deny_flags", "checksum")
            ],
        ),
    ],
)
def test_keys_that_do_not_fit_are_told(
    wrong: Wrong, keys: dict[str, str], expected: list[str]
) -> None:
    """Each wrong combination is told in one line with the key to change."""
    assert wrong(**keys) == expected


def test_a_wrong_key_is_not_called_missing(wrong: Wrong) -> None:
    """A key that is wrong by itself is told as such, and not as missing beside another one."""
    lines = wrong(**{**SIP2, "user": "' '", "password_file": "'p'"})

    assert len(lines) == 1
    assert lines[0].startswith('lms.user: found " "')


def test_an_address_in_its_parts() -> None:
    """Host and port are found, IPv6 brackets taken off, a final slash dropped."""
    assert read_address("sip2s://[2001:db8::1]:6002/") == Address("sip2s", "2001:db8::1", 6002, "")
    assert read_address("https://cms.example/rest/") == Address(
        "https", "cms.example", None, "/rest"
    )
    assert read_address("https://cms.example:99999") is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost"])
def test_this_machine(host: str) -> None:
    """Loopback addresses and their one name are this machine."""
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "127.0.0.1.example", "", "::"])  # noqa: S104 - refused
def test_other_machines(host: str) -> None:
    """Any other name may be another machine's tomorrow."""
    assert not is_this_machine(host)
