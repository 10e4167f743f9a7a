"""Every alarm: its urgency, meaning and end, and which stand.

Pure. The log gives an alarm's name; people who are called out at night need these two sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from types import MappingProxyType


class Urgency(Enum):
    """When somebody has to look; the values are fixed names in messages and scripts."""

    NOW = "now"
    TODAY = "today"
    NOTE = "note"


NOW, TODAY, NOTE = Urgency.NOW, Urgency.TODAY, Urgency.NOTE

NO_REST_S = 0.0
"""A person is in danger: each alarm is sent at once, and none uses up the hour's limit.

Only `duress`: for a fire the building's own panel calls for help, and the door only opens."""

LEAF_REST_S = 300.0
"""A door that is forced or held: five minutes. An attempt in the morning, or a door held open to
make everybody tired of the alarm, must not hide what comes after it."""


class Source(Enum):
    """The process that raised an alarm; the values are fixed names in the table."""

    DOOR = "door"
    WEB = "web"


class Lasts(Enum):
    """How long an alarm stands."""

    UNTIL_WELL = "until_well"
    """Until its end is reported, by the kind that clears it."""

    A_MOMENT = "a_moment"
    """It is over: machines name it for :data:`MOMENT_SHOWN`, pages until it was seen."""

    UNTIL_SEEN = "until_seen"
    """Until a person has looked and said so, for no program can know."""


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """The fixed facts about one kind of alarm: what it means and what to do, in English.

    `clears` is the kind that this one ends. Of a `wordless` kind nothing may be said beyond these
    sentences. `rest_s` is the longest rest between two notices, None for the branch's own interval,
    :data:`NO_REST_S` for no rest and no hourly limit; an end rests no longer than its alarm.
    While an alarm stands that `means_nobody_enters`, no patron is let in; None for the others, else
    the process by whose word that is so: web says of its own writing what door says of its reading.
    """

    urgency: Urgency
    means: str
    act: str
    clears: str | None = None
    wordless: bool = False
    rest_s: float | None = None
    lasts: Lasts = Lasts.UNTIL_WELL
    means_nobody_enters: Source | None = None

    @property
    def for_people(self) -> bool:
        """Whether a person is in danger: such an alarm never rests and never waits for others."""
        return self.rest_s == NO_REST_S


A_MOMENT, UNTIL_SEEN, DOOR = Lasts.A_MOMENT, Lasts.UNTIL_SEEN, Source.DOOR

NOTHING = "Do nothing."
JOURNAL = "Read the journal: journalctl -u doorctl-door -u doorctl-web."

HELD_BACK = "alarms_held_back"
UNLISTED = "unlisted"
NOT_SENT = "alarm_not_sent"
DOOR_SILENT, DOOR_ANSWERS = "door_silent", "door_answers"
TEST = "test"

at_once, today, note = (partial(AlarmKind, urgency) for urgency in Urgency)
"""Make a kind that somebody has to look at by then."""


def over(clears: str, means: str, act: str = NOTHING, *, rest_s: float | None = None) -> AlarmKind:
    """Return the end of the kind `clears`."""
    return AlarmKind(NOTE, means, act, clears, rest_s=rest_s)


_kinds: dict[str, AlarmKind] = {
    "door_forced": at_once(
        "The door was opened without a card or button.",
        "Look at the door, or call security.",
        rest_s=LEAF_REST_S,
    ),
    "door_forced_cleared": over(
        "door_forced",
        "The door that was forced is closed.",
        "See whether the lock still holds.",
        rest_s=LEAF_REST_S,
    ),
    "door_held": at_once(
        "The door has stood open for too long.",
        "Close it; remove what holds it.",
        rest_s=LEAF_REST_S,
    ),
    "door_held_cleared": over("door_held", "The door is closed again.", rest_s=LEAF_REST_S),
    "duress": at_once(
        "Somebody at the door has silently asked for help.",
        "Call 112, and do not ring the library.",
        wordless=True,
        rest_s=NO_REST_S,
        lasts=A_MOMENT,
    ),
    "help_called": at_once(
        "Somebody has called for help at the screen by the door.",
        "Send somebody, in danger call 112; acknowledge it once somebody is on the way.",
        rest_s=LEAF_REST_S,
        lasts=A_MOMENT,
    ),
    "inputs_failing": at_once(
        "The door contact or another input can't be read.",
        "Check the wires and restart the Pi.",
    ),
    "inputs_failing_cleared": over("inputs_failing", "The door's inputs can be read again."),
    "reader_lost": at_once(
        "The card reader is gone, so nobody can be let in.",
        "Check its cable and plug it in again.",
        means_nobody_enters=DOOR,
    ),
    "reader_lost_cleared": over("reader_lost", "The card reader is back."),
    "keypad_lost": at_once(
        "The keypad is gone, so nobody can type a PIN.",
        "Check its cable and plug it in again.",
        means_nobody_enters=DOOR,
    ),
    "keypad_lost_cleared": over("keypad_lost", "The keypad is back."),
    "patron_cache_failing": at_once(
        "The patron register can't be read, so no patron is let in.",
        "Run doorctl status and send the register again: doorctl sync push --full.",
        means_nobody_enters=DOOR,
    ),
    "patron_cache_failing_cleared": over(
        "patron_cache_failing", "The patron register can be read again."
    ),
    "patrons_expired": at_once(
        "No push has confirmed the patron register for 30 days, so it was deleted.",
        "Send the whole register again: doorctl sync push --full.",
        means_nobody_enters=Source.WEB,
    ),
    "patrons_expired_cleared": over("patrons_expired", "There is a patron register again."),
    "store_damaged": at_once(
        "A database was damaged; the damaged part is not used.",
        "Send the register again (doorctl sync push --full) and soon change the SD card.",
        lasts=A_MOMENT,
    ),
    "self_test_failed": at_once(
        "The morning's self-test found a fault.", "Run doorctl selftest on the machine."
    ),
    "self_test_failed_cleared": over("self_test_failed", "The self-test finds no fault any more."),
    "relay_unsafe": today(
        "The relay can stay on if the door process dies.",
        "Run doorctl check-config and do what it says.",
    ),
    "relay_unsafe_cleared": over("relay_unsafe", "The relay can't stay on any more."),
    "calendar_unknown": at_once(
        "The opening hours are not known, so the door is closed to patrons.",
        "Write today's hours or the usual week on the staff page, or mend [hours].",
        means_nobody_enters=DOOR,
    ),
    "calendar_unknown_cleared": over("calendar_unknown", "The opening hours are known again."),
    "clock_untrusted_at_opening": at_once(
        "The clock is not set, so no patron is let in.",
        "See whether the network and timedatectl are right.",
        means_nobody_enters=DOOR,
    ),
    "clock_untrusted_at_opening_cleared": over(
        "clock_untrusted_at_opening", "The clock is set again."
    ),
    DOOR_SILENT: at_once(
        "The door process does not answer.",
        "Run systemctl status doorctl-door; else restart the Pi.",
        means_nobody_enters=Source.WEB,
    ),
    DOOR_ANSWERS: over(DOOR_SILENT, "The door process answers again."),
    "door_failed": today(
        "The door process has failed and is started again.",
        "Run systemctl status doorctl-door.",
        lasts=A_MOMENT,
    ),
    "web_failed": today(
        "The web process has failed; the door still works.",
        "Run systemctl status doorctl-web.",
        lasts=A_MOMENT,
    ),
    "upgrade_taken_back": today(
        "A new release did not start well, so the one before is in use again.",
        "Read why: journalctl -t doorctl, and tell who sent it.",
        lasts=A_MOMENT,
    ),
    "upgrade_not_begun": today(
        "A new release could not be taken into use; the one before runs on.",
        "Read why: journalctl -t doorctl; mend it, then apt install --reinstall doorctl.",
    ),
    "upgrade_not_begun_cleared": over(
        "upgrade_not_begun", "No release waits any more to be taken into use."
    ),
    "release_differs": today(
        "Another release of doorctl runs than the package that is installed.",
        "Read why: journalctl -t doorctl, and tell who sent it; or install it once more.",
    ),
    "release_differs_cleared": over("release_differs", "The release that is installed runs."),
    "visit_log_failing": today(
        "The door log can't be written; patrons are still let in.",
        "See whether the disk is full or read-only (df, dmesg).",
    ),
    "visit_log_cleared": over("visit_log_failing", "The door log is written again."),
    "patrons_outdated": today(
        "The patron register was made for another age limit.",
        "Send the whole register again: doorctl sync push --full.",
    ),
    "patrons_outdated_cleared": over(
        "patrons_outdated", "The patron register was made for this age limit."
    ),
    "patrons_unusable": at_once(
        "The patron register was made for a lower age limit, so no patron is let in.",
        "Send the whole register again: doorctl sync push --full.",
        means_nobody_enters=DOOR,
    ),
    "patrons_unusable_cleared": over(
        "patrons_unusable", "The patron register was made for an age limit that counts here."
    ),
    "refusals_unusual": today(
        "Unusually many are refused for the same reason.",
        "Read the door log, and try a card yourself.",
        lasts=A_MOMENT,
    ),
    "push_guarded": today(
        "A push would shut out too many patrons and was refused.",
        "Check the export; else approve it with --approved-by NAME.",
    ),
    "push_guarded_cleared": over("push_guarded", "A push was accepted again."),
    "push_widened": today(
        "A push lets in many patrons who were refused before.",
        "Check whether the export lacks blocks or municipalities.",
        lasts=A_MOMENT,
    ),
    "push_unusual": today(
        "A push changes unusually many cards and was applied; soon it may shut patrons out.",
        "Check end dates and patron numbers (patronId) in the export.",
        lasts=A_MOMENT,
    ),
    "push_conflict": today(
        "Two pushes have the same number and other contents.",
        "Find out whether two servers send to this branch.",
    ),
    "push_conflict_cleared": over("push_conflict", "Pushes have numbers of their own again."),
    "push_approved": AlarmKind(
        NOTE,
        "A large change of the patron register was approved and applied.",
        "Ask the person who approved it, if you wonder.",
        lasts=A_MOMENT,
    ),
    "branch_rolled_back": at_once(
        "The branch's database is an older copy: passes that were revoked may count again.",
        "Look at passes and bans since the day that the audit log names, then acknowledge it.",
        lasts=UNTIL_SEEN,
    ),
    "audit_rewritten": at_once(
        "The audit log of a branch was written anew or rolled back.",
        "See who changed it, and why; then doorctl sync push --audit-confirmed BRANCH.",
        lasts=UNTIL_SEEN,
    ),
    "export_old": today(
        "No new export has come from the library system for 26 hours.",
        "See whether the library system makes its export, and whether it arrives here.",
    ),
    "export_old_cleared": over("export_old", "A new export has come."),
    "export_odd": today(
        "An export says something quite different of many patrons than the one before.",
        "See by doorctl sync look whether a column has moved; each branch's guard checks too.",
    ),
    "export_odd_cleared": over("export_odd", "The exports are alike again."),
    "rows_set_aside": today(
        "Some rows of the export are wrong and were set aside.",
        "Mend the patrons in the library system; set-aside.txt on the server has all rows.",
    ),
    "rows_set_aside_cleared": over("rows_set_aside", "No row is wrong any more."),
    "branch_behind": today(
        "A branch could not be given the patron register for long.",
        "See whether its Pi and network are up; after 72 hours no patron is let in there.",
    ),
    "branch_behind_cleared": over("branch_behind", "The branch has the register."),
    "branch_refuses": today(
        "A branch refuses the patron register.",
        "Do what the reason says: mend export, key or rules, or approve it.",
    ),
    "branch_refuses_cleared": over("branch_refuses", "The branch takes the register again."),
    "sync_failed": today(
        "The patron register could be sent to no branch.",
        "Mend what the reason names, often the export; doorctl sync push says all of it.",
    ),
    "sync_failed_cleared": over("sync_failed", "The patron register is sent again."),
    "register_old": today(
        "The patron register has not come for long; at its limit no patron is let in.",
        "See on the server why: doorctl sync push.",
    ),
    "register_old_cleared": over("register_old", "The patron register has come again."),
    "register_too_old": at_once(
        "The patron register is older than its limit, so no patron is let in.",
        "See on the server why: doorctl sync push.",
        means_nobody_enters=DOOR,
    ),
    "register_too_old_cleared": over(
        "register_too_old", "The patron register is new enough again."
    ),
    "disk_low": today(
        "The disk is nearly full.", "Delete what other programs have left there (df, du)."
    ),
    "disk_low_cleared": over("disk_low", "There is room on the disk again."),
    "disk_slow": today(
        "The disk takes long to write, as a dying one does; patrons are still let in.",
        "Soon change the SD card, and have a backup: doorctl backup.",
    ),
    "disk_slow_cleared": over("disk_slow", "The disk writes quickly again."),
    "backup_failed": today(
        "The backup could not be made or sent.",
        "Run doorctl backup on the machine, and do what it says.",
        lasts=A_MOMENT,
    ),
    "backup_old": today(
        "No backup has been made for 2 days.",
        "Run doorctl backup on the machine, and do what it says.",
    ),
    "backup_old_cleared": over("backup_old", "A backup has been made again."),
    "key_old": today(
        "A key will soon have been in use for three years.",
        "Change it: doorctl keys rotate, as systemd/README.md says; the reader's: doorctl keys "
        "reader.",
    ),
    "key_old_cleared": over("key_old", "No key is old any more."),
    "web_silent": today(
        "The web process does not answer; the door works, and hears nothing new.",
        "Run systemctl restart doorctl-web.",
    ),
    "web_silent_cleared": over("web_silent", "The web process answers again."),
    "undervoltage": today(
        "The power supply is too weak; the Pi may stop.",
        "Change the power supply for one that is made for this Pi.",
    ),
    "undervoltage_cleared": over("undervoltage", "The power supply is good enough again."),
    "certificate_expires": today(
        "The certificate of the web pages ends soon, or its new files can't be used.",
        "Renew it, or mend the files of web.tls.",
    ),
    "certificate_expires_cleared": over(
        "certificate_expires", "The web pages have a good certificate again."
    ),
    "library_silent": today(
        "The library system does not answer; cards that are known still work.",
        "See whether the network and the supplier report a fault.",
    ),
    "library_answers": over("library_silent", "The library system answers again."),
    "branch_failing": today(
        "The branch's database can't be read or written.",
        "See whether the disk is full or broken, and restart doorctl-web.",
        means_nobody_enters=DOOR,
    ),
    "branch_failing_cleared": over(
        "branch_failing", "The branch's database can be read and written again."
    ),
    "rounds_failing": today(
        "A standing task of the door or the web process failed.", JOURNAL, lasts=A_MOMENT
    ),
    "lamps_failing": today(
        "Lamps or buzzer at the reader do not work.", "Check the wires at the reader."
    ),
    "lamps_failing_cleared": over("lamps_failing", "Lamps and buzzer at the reader work again."),
    "card_guessed": today(
        "A card was used with many wrong PINs and with the right one too.",
        "Find it in the door log; have its PIN changed, then unlock it.",
        lasts=A_MOMENT,
    ),
    "overloaded": today(
        "Cards come faster than they can be looked up.",
        "See whether the reader repeats a card.",
        lasts=A_MOMENT,
    ),
    "stalled": today(
        "The door process stood still; what was typed is void.",
        "Check power supply and SD card if it happens again.",
        lasts=A_MOMENT,
    ),
    "process_stuck": today(
        "Part of the door process is stuck, so it is started afresh.",
        "Read the journal, and see whether the SD card fails (dmesg), if it happens again.",
        lasts=A_MOMENT,
    ),
    "clock_stepped": at_once(
        "The clock jumped, so it is taken to be wrong, and no hours open the door.",
        "See which time server the Pi uses. If the clock is right, say so on the overview.",
        means_nobody_enters=DOOR,
    ),
    "clock_stepped_cleared": over("clock_stepped", "The clock is taken to be right again."),
    "clock_leapt": at_once(
        "One source alone says how long the power was off, and that is more than an hour.",
        "If the clock is right, say so on the overview; else cut the network and restart.",
    ),
    "clock_leapt_cleared": over("clock_leapt", "The time is confirmed."),
    "clock_unconfirmed": at_once(
        "One source alone has set the clock since the start: the door opens by card only.",
        "If the clock is right, say so on the overview: then the door stands unlocked.",
    ),
    "clock_unconfirmed_cleared": over(
        "clock_unconfirmed", "The door no longer waits for the time to be confirmed."
    ),
    "purge_failed": today("Old visits could not be deleted.", "Run doorctl purge; check the disk."),
    "purge_failed_cleared": over("purge_failed", "Old visits are deleted again."),
    "purge_overdue": today(
        "Visits are a day older than they may be and not deleted; every list hides them.",
        "Look at the clock (date). If it is right: doorctl purge --believe-clock.",
    ),
    "purge_overdue_cleared": over("purge_overdue", "No visit is older than it may be."),
    "purge_incomplete": today(
        "Traces of deleted visits are still in a file.",
        "It is tried again; close programs that read visits.db.",
    ),
    "purge_incomplete_cleared": over("purge_incomplete", "The traces of deleted visits are gone."),
    "purge_limited": today(
        "More than a day of visits is too old at once, so they go by a day an hour.",
        "If the clock is wrong, pull the network cable, restart the Pi; else doorctl purge.",
    ),
    "purge_limited_cleared": over("purge_limited", "All old visits are deleted."),
    "control_failing": today(
        "A process can't be asked: its socket was not made.",
        "See the storage directory's owner, mode.",
    ),
    "control_failing_cleared": over("control_failing", "The processes can be asked again."),
    "not_kept": AlarmKind(
        NOTE,
        "An answer of the library system was not kept.",
        "The next visit asks again; check the disk if it goes on.",
        lasts=A_MOMENT,
    ),
    "log_dropped": today(
        "Log lines were lost because nobody read them.",
        "See whether journald runs.",
        lasts=A_MOMENT,
    ),
    NOT_SENT: today(
        "An alarm could not be sent.", "Mend [alarms], and try it: doorctl alarm send test."
    ),
    "alarm_not_sent_cleared": over(NOT_SENT, "Alarms are sent again."),
    HELD_BACK: today("So many alarms come that some have to wait.", JOURNAL, lasts=A_MOMENT),
    UNLISTED: today("An alarm that is not on the list.", JOURNAL, lasts=A_MOMENT),
    TEST: AlarmKind(NOTE, "This is a test.", NOTHING, lasts=A_MOMENT),
}
KINDS: Mapping[str, AlarmKind] = MappingProxyType(_kinds)
"""Kind -> the facts about it, most urgent first; scripts rely on the names. Extras add theirs."""

_ends = {known.clears: kind for kind, known in KINDS.items() if known.clears is not None}
ENDS: Mapping[str, str] = MappingProxyType(_ends)
"""Kind -> the kind that ends it; all others are over once somebody has acknowledged them."""


def enlist(kinds: Mapping[str, AlarmKind]) -> None:
    """Put an extra's kinds on the list, as it is found; nothing is taken off it."""
    _kinds.update(kinds)
    _ends.update({known.clears: kind for kind, known in kinds.items() if known.clears is not None})


def kind_of(name: str) -> AlarmKind:
    """Return the facts about a kind; those of ``unlisted`` for one that is not on the list."""
    return KINDS.get(name, KINDS[UNLISTED])


MOMENT_SHOWN = timedelta(hours=24)
"""How long after a moment machines still name it: a day later a check has to say what is new."""


def is_shown(kind: str, last: datetime, now: datetime) -> bool:
    """Tell whether machines still name an alarm that was raised last at `last`, both aware."""
    return kind_of(kind).lasts is not Lasts.A_MOMENT or now - last < MOMENT_SHOWN


def shuts_out(kind: str, source: Source) -> bool:
    """Tell whether no patron is let in while an alarm stands that this process has raised."""
    return kind_of(kind).means_nobody_enters is source


ORDER = {urgency: place for place, urgency in enumerate(Urgency)}


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """One alarm as it was raised, or the latest of `times` of its kind; `at_s` is monotonic.

    Only what web heard from the door has it as its `source`. Of a kind that several parts of a
    process raise, `part` says which: it is over once all of them are well.
    """

    kind: str
    why: str
    at_s: float
    source: Source = Source.WEB
    times: int = 1
    part: str = ""

    @property
    def listed(self) -> RaisedAlarm:
        """The same; one of a kind that is not on the list as ``unlisted``."""
        if self.kind in KINDS:
            return self
        return replace(self, kind=UNLISTED, why=f"{self.kind}: {self.why}")
