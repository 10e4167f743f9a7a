"""What is told of a wrong configuration: each slip by its key, with what would be right.

Bug (attack review): codes that nobody could type, one socket for two processes, a pass with a PIN
where none is asked for: all taken.
"""

from __future__ import annotations

import pytest

from doorctl.config.rules import HIGH_WHEN_CUT, PULLED_UP, undriven_locks
from doorctl.config.tables import Gpio
from tests.config.conftest import (
    EMAIL,
    FBS,
    FOLIO,
    HOOK,
    KOHA,
    OIDC,
    RIGHT,
    SENDER,
    SIP2,
    Wrong,
    cases,
)

CODES = 'a list of codes of 1 to 8 of A-Z and 0-9, such as ["O", "D", "S", "U", "F"]'
BAUDS = "1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200"
A_LIBRARYS = (
    'an address that begins with https://, http://, sip2s:// or sip2://, or "", '
    'such as "sip2s://sip2.example:6002"'
)
TAGS = 'a list of at most 16 tags of 1 to 64 characters, such as ["long_release"]'
GIVEN = {
    "door": ("a table: [door]", ["5"]),
    "hours": ("a table: [hours]", ["true"]),
    "web": ("a table: [web]", ["5"]),
    "web.tls": ("a table: [web.tls]", ["5"]),
    "door.release_s": (
        "a number from 0.5 to 30, such as 5.0",
        ['"5"', "true", "nan", "0.49", "31"],
    ),
    "door.long_release_tags": (
        TAGS,
        ['[""]', '[" a"]', '["a\\u0007"]', '["a", 1]', '"a"'],
    ),
    "visits.retention_days": ("a whole number from 1 to 30, such as 30", ["31", "30.0"]),
    "keypad.baud": (f"one of {BAUDS}, such as 9600", ['"fast"', "9601"]),
    "gpio.relay_active_high": ("true or false, such as true", ["1"]),
    "gpio.factory": ('one of "lgpio", "mock", such as "lgpio"', ['"pigpio"']),
    "gpio.contact_pin": ("a whole number from 0 to 27, such as 22", ["28"]),
    "gpio.relay_pin": ("a whole number from 0 to 27, such as 17", ["-1"]),
    "policy.deny_blocks": (CODES, ['["O", "d"]', '"O"']),
    "policy.max_cache_age_h": ("a number above 0, at most 8760, such as 72.0", ["0", "inf"]),
    "policy.pin_length": ("a whole number from 4 to 12, such as 4", ["3"]),
    "policy.minimum_age": ("a whole number from 0 to 99, such as 14", ["2008-01-01"]),
    "seal.memory_kib": ("a whole number from 8 to 1048576, such as 19456", ["7"]),
    "storage.directory": ('a path, such as "/var/lib/doorctl"', ['""', "1", '"/a\\u0000"']),
    "control.socket": ('a path, or "", such as "/run/doorctl/door.sock"', ['" "']),
    "clock.trust": ('one of "always", "auto", "signed", such as "auto"', ['"never"']),
    "web.host": ('an address or a host name, such as "127.0.0.1"', ['"a b"']),
    "web.push.max_removed_percent": ("a number from 0 to 100, such as 5.0", ["101"]),
    "web.push.public_key_files": (
        'a list of at most 4 paths, such as ["/etc/doorctl/push.pem"]',
        ['"k"', '[""]'],
    ),
    "hours.website_url": (
        'an address that begins with https://, or "", such as "https://bibliotek.example"',
        ['"http://bibliotek.example"'],
    ),
    "lms.url": (
        A_LIBRARYS,
        ['"cms.example"', '"https://user:secret@cms.example"', '"https://h/a?b=c"'],
    ),
    "lms.resident_classes": (
        (
            "a list of classes of 1 to 64 ASCII characters without | or outer blanks, "
            'such as ["VOKSEN", "BARN"]'
        ),
        ['["A|B"]', '["A "]', '[""]'],
    ),
}
"""What is to be given for a key, and values that are not."""


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [(key, value, right) for key, (right, values) in GIVEN.items() for value in values],
)
def test_a_value_that_is_not_allowed_is_one_line(
    wrong: Wrong, key: str, value: str, right: str
) -> None:
    """With the key, the value found, what is allowed and a suggestion."""
    assert wrong(f"{key} = {value}\n{RIGHT}") == [f"{key}: found {value}; give {right}"]


BEFORE = r"""
door.relase_s = 5
! door.relase_s: unknown key; did you mean door.release_s?
door.RELEASE_S = 5
! door.RELEASE_S: unknown key; did you mean door.release_s?
door.retention_days = 5
! door.retention_days: unknown key; did you mean visits.retention_days?
door.xyzzy = 5
! door.xyzzy: unknown key; [door] has release_s, free_when_staffed, held_open_s, prewarn_s,
  long_release_s, long_release_tags, exit_release_s, interlock_wait_s
door."a\nb" = 5
! door."a\u000ab": unknown key; [door] has release_s, free_when_staffed, held_open_s, prewarn_s,
  long_release_s, long_release_tags, exit_release_s, interlock_wait_s
release_s = 5
! release_s: unknown key; did you mean door.release_s?
xyzzy = 5
! xyzzy: unknown key; every key stands in a table
[dor]
! dor: unknown table; did you mean [door]?
[xyzzy]
! xyzzy: unknown table; there are branch, controller, storage, secrets, seal, reader, keypad, gpio,
  door, policy, hours, closing, visits, clock, control, web, panel, signin, lms, alarms, backup,
  sync, outputs, metrics, source
[[door]]
! door: found [a table]; give a table: [door]
door.release_s.x = 5
! door.release_s: found a table; give a number from 0.5 to 30, such as 5.0
policy.deny_blocks = [[]]
! policy.deny_blocks: found [a list]; give a list of codes of 1 to 8 of A-Z and 0-9, such as
  ["O", "D", "S", "U", "F"]
[web.tsl]
! web.tsl: unknown key; did you mean web.tls?
["web.tls"]
! "web.tls": unknown table; did you mean [web.tls]?
web.tls.keyfile = 'k'
! web.tls.keyfile: unknown key; did you mean web.tls.key_file?
web.key_file = 'k'
! web.key_file: unknown key; did you mean web.tls.key_file?
web.port = [2026-08-03, 07:30:00, true, 'x']
! web.port: found [2026-08-03, 07:30:00, true, "x"]; give a whole number from 1 to 65535, such as
  8080
keypad.total_timeout_s = 0
! keypad.total_timeout_s: found 0; give a number from 1 to 300, such as 60.0
sync.feed = "exports"
sync.targets.branch = "oest"
! sync.targets: found a table; give each a table: [[sync.targets]]
hours.exceptions.date = 2026-12-24
! hours.exceptions: found a table; give each a table: [[hours.exceptions]]
"""
HOURS = """
friday = ["08:00-12:00", "11:59-13:00"]
! hours.friday: "11:59-13:00" overlaps "08:00-12:00" of hours.friday; join them or move one
friday = ["08:00-12:00", "08:00-12:00"]
! hours.friday: "08:00-12:00" overlaps "08:00-12:00" of hours.friday; join them or move one
sunday = ["22:00-02:00"]
monday = ["01:00-05:00"]
! hours.monday: "01:00-05:00" overlaps "22:00-02:00" of hours.sunday; join them or move one
friday = ["08:00-20:00", "09:00-10:00", "12:00-13:00"]
! hours.friday: "09:00-10:00" overlaps "08:00-20:00" of hours.friday; join them or move one
! hours.friday: "12:00-13:00" overlaps "08:00-20:00" of hours.friday; join them or move one
staffed.friday = ["11:00-13:00", "12:00-14:00"]
! hours.staffed.friday: "12:00-14:00" overlaps "11:00-13:00" of hours.staffed.friday; join them or
  move one
friday = ["01:00-22:00"]
exceptions = [{date = 2026-12-24, self_service = ["20:00-02:00"]}]
! hours.friday: "01:00-22:00" overlaps "20:00-02:00" of hours.exceptions[0].self_service; join them
  or move one
friday = ["08:00-09:59", "10:00-22:00"]
! hours.friday: "10:00-22:00" begins 1 min after "08:00-09:59" of hours.friday ends; join them or
  leave at least 15 min between
sunday = ["20:00-23:59"]
monday = ["00:00-02:00"]
! hours.monday: "00:00-02:00" begins 1 min after "20:00-23:59" of hours.sunday ends; join them or
  leave at least 15 min between
friday = ["08:00-09:50"]
staffed.friday = ["10:00-14:00"]
! hours.staffed.friday: "10:00-14:00" begins 10 min after "08:00-09:50" of hours.friday ends; join
  them or leave at least 15 min between
friday = ["08:00-12:00"]
staffed.friday = ["11:00-13:00"]
! hours.staffed.friday: "11:00-13:00" lies only partly within "08:00-12:00" of hours.friday; let it
  lie within or apart
sunday = ["20:00-02:00"]
staffed.monday = ["00:30-03:00"]
! hours.staffed.monday: "00:30-03:00" lies only partly within "20:00-02:00" of hours.sunday; let it
  lie within or apart
exceptions = [{date = 2026-12-24, self_service = ["10:00-12:00"], staffed = ["11:00-13:00"]}]
! hours.exceptions[0].staffed: "11:00-13:00" lies only partly within "10:00-12:00" of
  hours.exceptions[0].self_service; let it lie within or apart
exceptions = [{date = 2026-12-24}, {date = 2026-12-24}]
! hours.exceptions[1].date: found 2026-12-24, which is hours.exceptions[0]'s too; say all of a date
  at one place
exceptions = [{date = 2026-12-24, staffed = ["8-10"]}]
! hours.exceptions[0].staffed: found "8-10"; write each span as "HH:MM-HH:MM", 00:00 to 24:00, such
  as "08:00-22:00"
exceptions = [{date = 9999-12-31}]
! hours.exceptions[0].date: found 9999-12-31; give a date from 2000-01-01 to 2199-12-31
exceptions = [{date = "2026-02-30"}]
! hours.exceptions[0].date: found "2026-02-30"; give a date, "YYYY-MM-DD", such as "2030-12-24"
exceptions = [{date = 2026-12-24, open = []}]
! hours.exceptions[0].open: unknown key; there are date, self_service, staffed, note
source = "website"
! hours.website_url: missing beside hours.source = "website"; give it
! hours.website_branch: missing beside hours.source = "website"; give it
friday = ["08:00-08:00"]
! hours.friday: found "08:00-08:00"; write "00:00-24:00" for the whole day, nothing for closed
friday = ["00:00-00:00"]
! hours.friday: found "00:00-00:00"; write "00:00-24:00" for the whole day, nothing for closed
"""
LIGHT = 'name = "light", pin = 12, modes = ["staffed", "self_service"]'
OUTPUTS = f"""
outputs = [{{{LIGHT}}}, {{name = "light", command = ["/x"], modes = ["staffed"]}}]
! outputs[1].name: found "light", which is outputs[0].name too; give each its own
outputs = [{{{LIGHT}}}, {{name = "lamp", pin = 12, modes = ["staffed"]}}]
! outputs[1].pin: found 12, which is outputs[0].pin too; give each the pin it is wired to
outputs = [{{name = "light", pin = 17, modes = ["staffed"]}}]
! outputs[0].pin: found 17, which is gpio.relay_pin too; give each the pin it is wired to
outputs = [{{name = "light", modes = ["staffed"]}}]
! outputs[0].pin: missing; give a pin, or a command instead
outputs = [{{{LIGHT}, command = ["/bin/true"]}}]
! outputs[0].command: found beside a pin; give one of them
outputs = [{{name = "pcs", command = ["pcs", "--all"], modes = ["staffed"]}}]
! outputs[0].command: found ["pcs", "--all"]; begin with the command's whole path
outputs = [{{name = "light", pin = 12, modes = []}}]
! outputs[0].modes: found []; give those in which it is on, or at_warnings
outputs = [{{{LIGHT}, at_warnings = true}}]
! outputs[0].at_warnings: found beside a pin; give a command, for at a warning no pin is switched
"""
TARGETS = """
targets = [{branch = "Øst", url = "http://h"}]
! sync.targets[0].branch: found "Øst"; give 1 to 32 of a-z, 0-9 and -, such as "oest"
targets = [{branch = "oest", url = "ftp://h"}]
! sync.targets[0].url: found "ftp://h"; give an address that begins with https:// or http://, such
  as "https://oest.example:8443"
targets = [{branch = "oest", url = "s", certificate_file = "x"}]
! sync.targets[0].url: found "s"; give an address that begins with https:// or http://, such as
  "https://oest.example:8443"
targets = [{branch = "oest", url = "https://[::"}]
! sync.targets[0].url: found "https://[::", which no machine has; mend host and port
targets = [{branch = "oest", url = "https://h..h:8443"}]
! sync.targets[0].url: found "https://h..h:8443", which no machine has; mend host and port
targets = [{branch = "oest", url = "https://h:99999"}]
! sync.targets[0].url: found "https://h:99999", which no machine has; mend host and port
targets = [{branch = "oest", url = "http://h", cert = "x"}]
! sync.targets[0].cert: unknown key; there are branch, url, via, public_key_file, ca_file,
  certificate_file, key_file, minimum_age
targets = [{branch = "oest", url = "http://h", ca_file = "x"}]
! sync.targets[0].url: found "http://h" beside certificates; give https
targets = [{branch = "oest", url = "https://h", key_file = "x"}]
! sync.targets[0].certificate_file: missing beside sync.targets[0].key_file; give its path
targets = [{branch = "oest", url = "https://h", certificate_file = "x"}]
! sync.targets[0].key_file: missing beside sync.targets[0].certificate_file; give its path
targets = [{branch = "oest", url = "http://h"}, {branch = "oest", url = "http://i"}]
! sync.targets[1].branch: found "oest", which is sync.targets[0].branch too; give each its own
targets = [{branch = "oest"}]
! sync.targets[0].url: missing; give an address such as "https://oest.example:8443", or via = "nats"
targets = [{branch = "oest", via = "nats", url = "https://h", key_file = "k"}]
! sync.targets[0].public_key_file: missing beside via = "nats"; give the public half of its
  web.nats.signing_key_file
! sync.targets[0].via: found "nats" without [sync.nats]; give its servers there
! sync.targets[0].url: does nothing beside via = "nats"; leave it out
! sync.targets[0].key_file: does nothing beside via = "nats"; leave it out
targets = [{branch = "oest", url = "https://h", public_key_file = "x"}]
! sync.targets[0].public_key_file: does nothing beside via = "url"; leave it out
nats = {servers = ["nats://h:1", "tls://h:99999", "ws://h"]}
! sync.nats.servers: found ["nats://h:1", "tls://h:99999", "ws://h"]; give a list of at most 8
  addresses that begin with tls://, or nats:// for this machine, such as
  ["tls://nats.example:4222"]
nats = {servers = ["nats://h:1", "tls://h:99999"]}
! sync.nats.servers: found "nats://h:1", which carries patrons in the clear; give tls://
! sync.nats.servers: found "tls://h:99999", which no machine has; mend host and port
nats = {}
! sync.nats.servers: missing; give addresses such as "tls://nats.example:4222"
nats = {servers = ["nats://[::1]:4222"], ca_file = "x", certificate_file = "x", user = "oest"}
! sync.nats.ca_file: does nothing beside "nats://[::1]:4222"; leave it out
! sync.nats.certificate_file: does nothing beside "nats://[::1]:4222"; leave it out
! sync.nats.key_file: missing beside sync.nats.certificate_file; give its path
! sync.nats.password_file: missing beside sync.nats.user; give it
targets = []
[reader]
baud = 9600
! reader.port: missing; give the path of a device, such as
  "/dev/serial/by-id/usb-CARD_READER-if00-port0"
"""
EMPTY = """
# Nothing that is required.
! branch.name: missing; give text of at most 80 characters, such as "Randers Bibliotek, Øst"
! branch.id: missing; give 1 to 32 of a-z, 0-9 and -, such as "oest"
! reader.port: missing; give the path of a device, such as
  "/dev/serial/by-id/usb-CARD_READER-if00-port0"
"""


@pytest.mark.parametrize(
    ("before", "written", "told"),
    [
        *cases(BEFORE + OUTPUTS, ""),
        *cases(EMPTY, "\n"),
        *cases(HOURS, f"{RIGHT}[hours]\n"),
        *cases(TARGETS, SENDER),
    ],
)
def test_what_is_written_wrong_is_told(
    wrong: Wrong, before: str, written: str, told: list[str]
) -> None:
    """A line for each slip and for what is missing: its place, what is found and what is right."""
    assert wrong(f"{before}{written}{RIGHT if not before else ''}") == told


TOGETHER = r"""
gpio.red_pin = 17
! gpio.red_pin: found 17, which is gpio.relay_pin too; give each the pin it is wired to
gpio.contact_pin = 17
! gpio.contact_pin: found 17, which is gpio.relay_pin too; give each the pin it is wired to
gpio.exit_button_pin = 17
! gpio.exit_button_pin: found 17, which is gpio.relay_pin too; give each the pin it is wired to
gpio.fire_pin = 17
! gpio.fire_pin: found 17, which is gpio.relay_pin too; give each the pin it is wired to
gpio.other_door_pin = 17
! gpio.other_door_pin: found 17, which is gpio.relay_pin too; give each the pin it is wired to
keypad.total_timeout_s = 9
! keypad.total_timeout_s: found 9.0; give at least keypad.digit_timeout_s, which is 20.0
keypad.clear = ["BS", "4"]
! keypad.clear: found "4", which is the key 4 already; take it out
keypad.clear = ["0x30"]
! keypad.clear: found "0x30", which is the key 0 already; take it out
keypad.enter = ["*"]
! keypad.enter: found "*", which is the key * already; take it out
keypad.enter = ["CR", "0x43"]
! keypad.enter: found "0x43", which is in keypad.clear already; take it out
keypad.port = /dev/ttyUSB0
! keypad.port: found "/dev/ttyUSB0", which is reader.port too; give "" if the keys come on the
  reader's line
door.held_open_s = 20
door.prewarn_s = 20
! door.prewarn_s: found 20.0; give less than door.held_open_s, which is 20.0
door.held_open_s = 20
door.prewarn_s = 20.5
! door.prewarn_s: found 20.5; give less than door.held_open_s, which is 20.0
door.release_s = 20
door.long_release_s = 19
door.long_release_tags = ["slow"]
! door.long_release_s: found 19.0; give at least door.release_s, which is 20.0
door.held_open_s = 0
door.prewarn_s = 200
gpio.fire_pin = 17
! door.held_open_s: found 0; give a number from 1 to 600, such as 30.0
! gpio.fire_pin: found 17, which is gpio.relay_pin too; give each the pin it is wired to
web.host = 0.0.0.0
! web.host: found "0.0.0.0", which other machines reach, without web.tls; give certificate_file and
  key_file there, or web.allow_plain = true if something in front encrypts
web.host = ::
! web.host: found "::", which other machines reach, without web.tls; give certificate_file and
  key_file there, or web.allow_plain = true if something in front encrypts
web.host = 192.0.2.7
! web.host: found "192.0.2.7", which other machines reach, without web.tls; give certificate_file
  and key_file there, or web.allow_plain = true if something in front encrypts
web.host = door.example
! web.host: found "door.example", which other machines reach, without web.tls; give
  certificate_file and key_file there, or web.allow_plain = true if something in front encrypts
web.host = 127.0.0.1.example
! web.host: found "127.0.0.1.example", which other machines reach, without web.tls; give
  certificate_file and key_file there, or web.allow_plain = true if something in front encrypts
web.tls.certificate_file = x
! web.tls.key_file: missing beside web.tls.certificate_file; give its path
web.tls.key_file = x
! web.tls.certificate_file: missing beside web.tls.key_file; give its path
web.tls.client_ca_file = c
! web.tls.certificate_file: missing beside web.tls.client_ca_file; give its path
! web.tls.key_file: missing beside web.tls.client_ca_file; give its path
control.socket = /run/doorctl/door.sock
web.socket = /run/doorctl/door.sock
! web.socket: found "/run/doorctl/door.sock", which is control.socket too; give each process its own
control.socket = /run/doorctl/door.sock
web.socket = /run/doorctl/../doorctl/door.sock
! web.socket: found "/run/doorctl/../doorctl/door.sock", which is control.socket too; give each
  process its own
panel.help_button = true
! panel.help_button: found true, and no alarm leaves here; set alarms.email.host or
  alarms.webhook.url
policy.code_entry = true
! policy.code_entry: found true, and keys on the reader's line are heard after a card only, so no
  code can be typed; name a keypad in [keypad] or set panel.keypad, or give false
branch.time_zone = Europe/Copenhaven
! branch.time_zone: found "Europe/Copenhaven", which is no time zone; did you mean
  "Europe/Copenhagen"?
branch.time_zone = ../../etc/passwd
! branch.time_zone: found "../../etc/passwd", which is no time zone; give one such as
  "Europe/Copenhagen"
branch.isil = "DK-773000\n"
! branch.isil: found "DK-773000\u000a"; give an ISIL, or "" for none, such as "DK-773000"
alarms.email.host = mail.example
! alarms.email.sender: missing beside alarms.email.host; give it
! alarms.email.to: missing beside alarms.email.host; give it
alarms.email.to = ["vagt@randers.example"]
! alarms.email.host: missing beside alarms.email.to; give it
! alarms.email.sender: missing beside alarms.email.to; give it
alarms.webhook.url = https://alarms.example
! alarms.webhook.secret_file: missing beside alarms.webhook.url; give it
alarms.heartbeat.url = http://switch.example/0f3a
! alarms.heartbeat.url: found "http://switch.example/0f3a", by which anybody on the way could go on
  in the branch's name; give https://
backup.destination = http://nas.example/
! backup.destination: found "http://nas.example/", by which anybody on the way could take the
  password; give https://
backup.destination = ftp://nas.example/
! backup.destination: found "ftp://nas.example/"; give a directory that begins with sftp:// or
  https:// and ends with /, or "", such as "sftp://doorctl@backup.example/oest/"
backup.destination = https://nas.example/no-slash
! backup.destination: found "https://nas.example/no-slash"; give a directory that begins with
  sftp:// or https:// and ends with /, or "", such as "sftp://doorctl@backup.example/oest/"
lms.kind = fbs
! lms.url: missing beside lms.kind = "fbs"; give it
! lms.agency: missing beside lms.kind = "fbs"; give it
! lms.user: missing beside lms.kind = "fbs"; give it
! lms.password_file: missing beside lms.kind = "fbs"; give it
lms.kind = sip2
lms.user = doorctl
! lms.url: missing beside lms.kind = "sip2"; give it
! lms.password_file: missing beside lms.user; give it
lms.kind = koha
! lms.url: missing beside lms.kind = "koha"; give it
! lms.user: missing beside lms.kind = "koha"; give it
! lms.password_file: missing beside lms.kind = "koha"; give it
lms.kind = folio
! lms.url: missing beside lms.kind = "folio"; give it
! lms.agency: missing beside lms.kind = "folio"; give it
! lms.user: missing beside lms.kind = "folio"; give it
! lms.password_file: missing beside lms.kind = "folio"; give it
"""
BESIDE_EMAIL = """
alarms.email.user = doorctl
! alarms.email.password_file: missing beside alarms.email.user; give it
alarms.email.user = doorctl
alarms.email.password_file = p
alarms.email.security = none
! alarms.email.security: found "none" beside a user, whose password would go in the clear; give
  "starttls" or "tls"
alarms.email.to = ["vagt@x.example>,<randers.example"]
! alarms.email.to: found ["vagt@x.example>,<randers.example"]; give a list of at most 10 mail
  addresses, such as ["vagt@randers.example"]
alarms.email.to = ["vagt"]
! alarms.email.to: found ["vagt"]; give a list of at most 10 mail addresses, such as
  ["vagt@randers.example"]
alarms.email.sender = Vagten <v@r.example>
! alarms.email.sender: found "Vagten <v@r.example>"; give a mail address, or "", such as
  "doorctl@randers.example"
"""
BESIDE_HOOK = """
alarms.webhook.url = http://alarms.example/doorctl
! alarms.webhook.url: found "http://alarms.example/doorctl", which tells another machine of alarms
  in the clear; give https://
alarms.webhook.url = https://alarms.example:99999/doorctl
! alarms.webhook.url: found "https://alarms.example:99999/doorctl", whose port is none; mend it
alarms.webhook.url = ftp://alarms.example
! alarms.webhook.url: found "ftp://alarms.example"; give an address that begins with https://, or
  "", such as "https://alarms.example/doorctl"
alarms.webhook.url = https://user:secret@alarms.example
! alarms.webhook.url: found "https://user:secret@alarms.example"; give an address that begins with
  https://, or "", such as "https://alarms.example/doorctl"
"""
BESIDE_FBS = """
lms.url = sip2s://h:6002
! lms.url: found "sip2s://h:6002", which is no address for fbs; give one such as
  "https://cms.example/rest"
lms.url = https://h:65536
! lms.url: found "https://h:65536", which is no address for fbs; give one such as
  "https://cms.example/rest"
lms.url = http://cms.example
! lms.url: found "http://cms.example", which sends PINs to another machine in the clear; give
  https://
lms.terminal_password_file = t
lms.deny_flags = [6]
lms.checksum = false
lms.allow_charge_denied = true
! lms.terminal_password_file: does nothing beside lms.kind = "fbs"; leave it out
! lms.deny_flags: does nothing beside lms.kind = "fbs"; leave it out
! lms.checksum: does nothing beside lms.kind = "fbs"; leave it out
! lms.allow_charge_denied: does nothing beside lms.kind = "fbs"; leave it out
"""
BESIDE_SIP2 = """
lms.password_file = p
! lms.user: missing beside lms.password_file; give it
lms.user = " "
lms.password_file = p
! lms.user: found " "; give at most 64 visible ASCII characters without |, or "", such as
  "doorctl-oest"
lms.url = https://h
! lms.url: found "https://h", which is no address for sip2; give one such as
  "sip2s://sip2.example:6002"
lms.url = sip2s://h
! lms.url: found "sip2s://h", which is no address for sip2; give one such as
  "sip2s://sip2.example:6002"
lms.url = sip2s://h:0
! lms.url: found "sip2s://h:0", which is no address for sip2; give one such as
  "sip2s://sip2.example:6002"
lms.url = sip2s://h:6002/path
! lms.url: found "sip2s://h:6002/path", which is no address for sip2; give one such as
  "sip2s://sip2.example:6002"
lms.url = sip2://192.0.2.7:6001
! lms.url: found "sip2://192.0.2.7:6001", which sends PINs to another machine in the clear; give
  sip2s://
lms.url = sip2://127.0.0.1:6001
lms.ca_file = ca.pem
! lms.ca_file: does nothing beside "sip2://127.0.0.1:6001"; leave it out
"""
BESIDE_KOHA = """
lms.url = http://koha.example
! lms.url: found "http://koha.example", which sends PINs to another machine in the clear; give
  https://
lms.url = sip2s://koha.example:6002
! lms.url: found "sip2s://koha.example:6002", which is no address for koha; give one such as
  "https://koha.example"
lms.agency = DK-773000
! lms.agency: does nothing beside lms.kind = "koha"; leave it out
lms.checksum = false
! lms.checksum: does nothing beside lms.kind = "koha"; leave it out
lms.authentication = cookie
! lms.authentication: found "cookie"; give one of "basic", "oauth2", such as "oauth2"
"""
BESIDE_FOLIO = """
lms.url = http://folio.example
! lms.url: found "http://folio.example", which sends PINs to another machine in the clear; give
  https://
lms.authentication = basic
! lms.authentication: does nothing beside lms.kind = "folio"; leave it out
"""
BESIDE_OIDC = """
signin.oidc.issuer =
! signin.oidc.issuer: missing beside signin.oidc.client_id; give it
signin.oidc.client_id =
! signin.oidc.client_id: missing beside signin.oidc.issuer; give it
signin.oidc.client_secret_file =
! signin.oidc.client_secret_file: missing beside signin.oidc.issuer; give it
signin.oidc.redirect_url =
! signin.oidc.redirect_url: missing beside signin.oidc.issuer; give it
signin.oidc.roles = []
! signin.oidc.roles: missing beside signin.oidc.issuer; give it
signin.oidc.issuer = http://login.example
! signin.oidc.issuer: found "http://login.example", by which anybody on the way could sign in; give
  https://
signin.oidc.redirect_url = http://door.example/sign-in/municipality/back
! signin.oidc.redirect_url: found "http://door.example/sign-in/municipality/back", by which anybody
  on the way could sign in; give https://
signin.oidc.redirect_url = https://door.example/x
! signin.oidc.redirect_url: found "https://door.example/x"; it has to end with
  /sign-in/municipality/back
signin.oidc.issuer = https://login.example:99999
! signin.oidc.issuer: found "https://login.example:99999", whose port is none; mend it
signin.oidc.issuer = login.example
! signin.oidc.issuer: found "login.example"; give an address that begins with https://, or "", such
  as "https://login.example/realms/kommune"
signin.oidc.roles = ["king=x"]
! signin.oidc.roles: found ["king=x"]; give a list of at most 50 of "ROLE=GROUP", ROLE one of
  viewer, staff, manager, dpo, technician, such as
  ["manager=doorctl-manager", "staff=doorctl-staff"]
signin.oidc.roles = ["staff="]
! signin.oidc.roles: found ["staff="]; give a list of at most 50 of "ROLE=GROUP", ROLE one of
  viewer, staff, manager, dpo, technician, such as
  ["manager=doorctl-manager", "staff=doorctl-staff"]
signin.oidc.groups_claim =
! signin.oidc.groups_claim: found ""; give 1 to 128 visible ASCII characters, such as "roles"
"""


@pytest.mark.parametrize(
    ("beside", "overrides", "told"),
    [
        *cases(TOGETHER, ""),
        *cases(BESIDE_EMAIL, EMAIL),
        *cases(BESIDE_HOOK, HOOK),
        *cases(BESIDE_FBS, FBS),
        *cases(BESIDE_SIP2, SIP2),
        *cases(BESIDE_KOHA, KOHA),
        *cases(BESIDE_FOLIO, FOLIO),
        *cases(BESIDE_OIDC, OIDC),
    ],
)
def test_what_does_not_go_together_is_told(
    wrong: Wrong, beside: str, overrides: str, told: list[str]
) -> None:
    """A line with the key to change, and no other key is blamed for one that is wrong by itself."""
    assert wrong(RIGHT + beside, *overrides.splitlines()) == told


@pytest.mark.parametrize("name", HIGH_WHEN_CUT)
@pytest.mark.parametrize("pin", sorted(PULLED_UP))
def test_a_pin_that_the_board_pulls_up_is_not_pulled_down(
    wrong: Wrong, name: str, pin: int
) -> None:
    """GPIO2 and GPIO3 suit what is pulled up, and nothing else."""
    level, pulled_up = HIGH_WHEN_CUT[name]
    down, up = str(not pulled_up).lower(), str(pulled_up).lower()

    (line,) = wrong(RIGHT, f"{name}={pin}", f"{level}={down}")
    assert line.startswith(
        f"{name}: found {pin}, which every Pi pulls up, so that a cut wire would"
    )
    assert line.endswith(f"; give another pin, or {level} = {up}")


def test_a_relay_that_nobody_drives_locks_the_door() -> None:
    """GPIO0-8 go with an active-low relay, the others with an active-high one; a line says so."""
    pins = {
        high: [
            pin
            for pin in range(28)
            if not any(undriven_locks(Gpio(relay_pin=pin, relay_active_high=high)))
        ]
        for high in (True, False)
    }
    (problem,) = undriven_locks(Gpio(relay_pin=2))

    assert pins == {True: [*range(9, 28)], False: [*range(9)]}
    assert str(problem) == (
        "gpio.relay_pin: found 2, by which the door is open while nobody drives the pin, as at "
        "boot: give 9 to 27 beside gpio.relay_active_high = true, for GPIO0-8 are pulled up and "
        "GPIO9-27 down"
    )


@pytest.mark.parametrize(
    "text",
    [
        *("24:00-01:00", "7:00-22:00", "07:00-7:30", "08:60-09:00", "08:00-24:01", "08:00-25:00"),
        *("08:00", "08.00-22.00", "08:00\N{EN DASH}22:00", "08:00-22:00 ", "closed"),
        "0\N{ARABIC-INDIC DIGIT EIGHT}:00-22:00",
    ],
)
def test_other_ways_to_write_a_span_are_refused(wrong: Wrong, text: str) -> None:
    """A span is two digits, a colon, two digits, twice; anything else is told, never guessed."""
    assert wrong(f'{RIGHT}[hours]\nfriday = ["08:00-09:00", "{text}"]') == [
        (
            f'hours.friday: found "{text}"; write each span as "HH:MM-HH:MM", 00:00 to 24:00, '
            'such as "08:00-22:00"'
        )
    ]


def test_all_problems_are_told_at_once(wrong: Wrong) -> None:
    """A line for each mistake of every sort: none hides another, and none is told twice."""
    text = """
        [branch]
        name = " "
        id = "Øst"
        [reader]
        port = 1
        baud = "fast"
        [keypad]
        port = 1
        [gpio]
        factory = "pigpio"
        green_pin = 23
        red_pin = 23
        [door]
        relase_s = 5
        held_open_s = 0
        [hours]
        monday = ["8-22"]
        [dooor]
    """

    assert [line.split(":")[0] for line in wrong(text)] == [
        *("branch.name", "branch.id", "reader.port", "reader.baud", "keypad.port", "gpio.factory"),
        *("door.held_open_s", "door.relase_s", "dooor", "hours.monday", "gpio.red_pin"),
    ]


def test_what_is_long_makes_a_short_line(wrong: Wrong) -> None:
    """A value of a megabyte, a number of 9000 digits, a path, and a thousand dates and one."""
    text, dates = f'web.host = "{"x" * 1_000_000}"', ["{date = 2026-12-24}"] * 1001

    assert wrong(f"{text}\n{RIGHT}") == [
        f'web.host: found "{"x" * 69}…; give an address or a host name, such as "127.0.0.1"'
    ]
    assert wrong(f"web.port = 0x{'f' * 9000}\n{RIGHT}") == [
        "web.port: found a huge number; give a whole number from 1 to 65535, such as 8080"
    ]
    assert wrong(RIGHT, f"control.socket=/{'x' * 107}") == [
        (
            "control.socket: the path is 108 bytes long and a Unix socket's may have 107; "
            'give a shorter one such as "/run/doorctl/door.sock"'
        )
    ]
    assert wrong(f"{RIGHT}[hours]\nexceptions = [{', '.join(dates)}]") == [
        "hours.exceptions: found 1001 tables; give at most 1000"
    ]


def test_a_folder_of_zones_is_no_zone(wrong: Wrong) -> None:
    """A name that is a directory of the zone files is refused like any other."""
    (line,) = wrong(RIGHT, "branch.time_zone=Europe")

    assert line.startswith('branch.time_zone: found "Europe", which is no time zone; ')
