"""Every alarm: its urgency, its meaning, what to do, and which other alarm it ends.

Pure. The log gives an alarm's name; people who are called out at night need these two sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Urgency(Enum):
    """When somebody has to look; the values are fixed names in messages and scripts."""

    NOW = "now"
    TODAY = "today"
    NOTE = "note"


NOW, TODAY, NOTE = Urgency.NOW, Urgency.TODAY, Urgency.NOTE

NO_REST_S = 0.0
"""A person is in danger: each alarm is sent at once, and none uses up the hour's limit.

Only `duress` is such an alarm. A fire is no alarm here: the building's own panel calls for help,
and the door only opens.
"""

LEAF_REST_S = 300.0
"""A door that is forced or held: five minutes. An attempt in the morning, or a door held open to
make everybody tired of the alarm, must not hide what comes after it."""


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """The fixed facts about one kind of alarm: what it means and what to do, in English.

    `clears` is the kind that this one ends, None for an alarm of its own. Of a `wordless` kind
    nothing may be said beyond these sentences.

    `rest_s` is the longest rest between two notices, in seconds, whatever the branch's own
    interval; None for that interval, :data:`NO_REST_S` for no rest and no hourly limit. An end
    rests no longer than its alarm.
    """

    urgency: Urgency
    means: str
    act: str
    clears: str | None = None
    wordless: bool = False
    rest_s: float | None = None

    @property
    def for_people(self) -> bool:
        """Whether a person is in danger: such an alarm never rests and never waits for others."""
        return self.rest_s == NO_REST_S


NOTHING = "Do nothing."
JOURNAL = "Read the journal: journalctl -u doorctl-door -u doorctl-web."

HELD_BACK = "alarms_held_back"
UNLISTED = "unlisted"
NOT_SENT = "alarm_not_sent"
DOOR_SILENT, DOOR_ANSWERS = "door_silent", "door_answers"
TEST = "test"


def _over(clears: str, means: str, act: str = NOTHING, *, rest_s: float | None = None) -> AlarmKind:
    return AlarmKind(NOTE, means, act, clears, rest_s=rest_s)


KINDS: Mapping[str, AlarmKind] = MappingProxyType(
    {
        "door_forced": AlarmKind(
            NOW,
            "The door was opened and nobody had been let in.",
            "Look at the door, or call guards.",
            rest_s=LEAF_REST_S,
        ),
        "door_forced_cleared": _over(
            "door_forced",
            "The door that was forced is closed.",
            "See whether the lock still holds.",
            rest_s=LEAF_REST_S,
        ),
        "door_held": AlarmKind(
            NOW,
            "The door has stood open for too long.",
            "Close it; remove what holds it.",
            rest_s=LEAF_REST_S,
        ),
        "door_held_cleared": _over(
            "door_held",
            "The door is closed again.",
            rest_s=LEAF_REST_S,
        ),
        "duress": AlarmKind(
            NOW,
            "Somebody at the door has silently asked for help.",
            "Call 112, and do not ring the library.",
            wordless=True,
            rest_s=NO_REST_S,
        ),
        "inputs_failing": AlarmKind(
            NOW,
            "The door contact or another input can't be read.",
            "Check the wires and restart the Pi.",
        ),
        "inputs_failing_cleared": _over(
            "inputs_failing",
            "The door's inputs can be read again.",
        ),
        "reader_lost": AlarmKind(
            NOW,
            "The card reader is gone, so nobody can be let in.",
            "Check its cable and plug it in again.",
        ),
        "reader_lost_cleared": _over(
            "reader_lost",
            "The card reader is back.",
        ),
        "keypad_lost": AlarmKind(
            NOW,
            "The keypad is gone, so nobody can type a PIN.",
            "Check its cable and plug it in again.",
        ),
        "keypad_lost_cleared": _over(
            "keypad_lost",
            "The keypad is back.",
        ),
        "patron_cache_failing": AlarmKind(
            NOW,
            "The patron register can't be read, so no patron is let in.",
            "Run doorctl status and send the register again: doorctl sync push --full.",
        ),
        "patrons_expired": AlarmKind(
            NOW,
            "No push has confirmed the patron register for 30 days, so it was deleted.",
            "Send the whole register again: doorctl sync push --full.",
        ),
        "store_damaged": AlarmKind(
            NOW,
            "A database was damaged and was set aside.",
            "Send the register again (doorctl sync push --full) and soon change the SD card.",
        ),
        "self_test_failed": AlarmKind(
            NOW,
            "The morning's self-test found a fault.",
            "Run doorctl selftest on the machine.",
        ),
        "relay_unsafe": AlarmKind(
            TODAY,
            "The relay can stay on if the door process dies.",
            "Run doorctl check-config and do what it says.",
        ),
        "calendar_unknown": AlarmKind(
            NOW,
            "The opening hours are not known, so the door is closed to patrons.",
            "Write today's hours on the staff page, or mend [hours].",
        ),
        "calendar_unknown_cleared": _over(
            "calendar_unknown",
            "The opening hours are known again.",
        ),
        "clock_untrusted_at_opening": AlarmKind(
            NOW,
            "The clock is not set, so no patron is let in.",
            "See whether the network and timedatectl are right.",
        ),
        DOOR_SILENT: AlarmKind(
            NOW,
            "The door process does not answer.",
            "Run systemctl status doorctl-door; else restart the Pi.",
        ),
        DOOR_ANSWERS: _over(DOOR_SILENT, "The door process answers again."),
        "door_failed": AlarmKind(
            TODAY,
            "The door process has failed and is started again.",
            "Run systemctl status doorctl-door.",
        ),
        "web_failed": AlarmKind(
            TODAY,
            "The web process has failed; the door still works.",
            "Run systemctl status doorctl-web.",
        ),
        "visit_log_failing": AlarmKind(
            TODAY,
            "The door log can't be written; patrons are still let in.",
            "See whether the disk is full or read-only (df, dmesg).",
        ),
        "visit_log_cleared": _over("visit_log_failing", "The door log is written again."),
        "patrons_outdated": AlarmKind(
            TODAY,
            "The patron register was made for another age limit.",
            "Send the whole register again: doorctl sync push --full.",
        ),
        "refusals_unusual": AlarmKind(
            TODAY,
            "Unusually many are refused for the same reason.",
            "Read the door log, and try a card yourself.",
        ),
        "push_guarded": AlarmKind(
            TODAY,
            "A push would shut out too many patrons and was refused.",
            "Check the export; else approve it with --approved-by NAME.",
        ),
        "push_widened": AlarmKind(
            TODAY,
            "A push lets in many patrons who were refused before.",
            "Check whether the export lacks blocks or municipalities.",
        ),
        "push_conflict": AlarmKind(
            TODAY,
            "Two pushes have the same number and other contents.",
            "Find out whether two servers send to this branch.",
        ),
        "push_approved": AlarmKind(
            NOTE,
            "A large change of the patron register was approved and applied.",
            "Ask whoever approved it, if you wonder.",
        ),
        "branch_rolled_back": AlarmKind(
            NOW,
            "The branch's database is an older copy: passes that were revoked may count again.",
            "Go through bans and passes for the time that is missing, then acknowledge this.",
        ),
        "audit_rewritten": AlarmKind(
            NOW,
            "The audit log of a branch was written anew or rolled back.",
            "If nobody restored a copy, see who hides something: doorctl audit verify.",
        ),
        "export_old": AlarmKind(
            TODAY,
            "No new export has come from the library system for 26 hours.",
            "See whether the library system makes its export, and whether it arrives here.",
        ),
        "export_old_cleared": _over("export_old", "A new export has come."),
        "rows_set_aside": AlarmKind(
            TODAY,
            "Some rows of the export are wrong and were set aside.",
            "Mend the patrons in the library system; set-aside.txt on the server has all rows.",
        ),
        "rows_set_aside_cleared": _over("rows_set_aside", "No row is wrong any more."),
        "branch_behind": AlarmKind(
            TODAY,
            "A branch could not be given the patron register for long.",
            "See whether its Pi and network are up; after 72 hours no patron is let in there.",
        ),
        "branch_behind_cleared": _over("branch_behind", "The branch has the register."),
        "branch_refuses": AlarmKind(
            TODAY,
            "A branch refuses the patron register.",
            "Do what the reason says: mend export, key or rules, or approve it.",
        ),
        "branch_refuses_cleared": _over("branch_refuses", "The branch takes the register again."),
        "sync_failed": AlarmKind(
            TODAY,
            "The patron register could be sent to no branch.",
            "Mend what the reason names, often the export; doorctl sync push says all of it.",
        ),
        "sync_failed_cleared": _over("sync_failed", "The patron register is sent again."),
        "register_old": AlarmKind(
            TODAY,
            "The patron register has not come for long; soon no patron is let in.",
            "See on the server why: doorctl sync push.",
        ),
        "register_old_cleared": _over(
            "register_old",
            "The patron register has come again.",
        ),
        "disk_low": AlarmKind(
            TODAY,
            "The disk is nearly full.",
            "Delete what other programs have left there (df, du).",
        ),
        "disk_low_cleared": _over(
            "disk_low",
            "There is room on the disk again.",
        ),
        "web_silent": AlarmKind(
            TODAY,
            "The web process does not answer; the door works, and hears nothing new.",
            "Run systemctl restart doorctl-web.",
        ),
        "web_silent_cleared": _over(
            "web_silent",
            "The web process answers again.",
        ),
        "undervoltage": AlarmKind(
            TODAY,
            "The power supply is too weak; the Pi may stop.",
            "Change the power supply for one that is made for this Pi.",
        ),
        "undervoltage_cleared": _over(
            "undervoltage",
            "The power supply is good enough again.",
        ),
        "library_silent": AlarmKind(
            TODAY,
            "The library system does not answer; cards that are known still work.",
            "See whether the network and the supplier report a fault.",
        ),
        "library_answers": _over("library_silent", "The library system answers again."),
        "website_silent": AlarmKind(
            TODAY,
            "The website's hours can't be fetched; the last ones count.",
            "See whether the website is down before the kept days are used up.",
        ),
        "website_answers": _over(
            "website_silent",
            "The website's hours are fetched again.",
        ),
        "website_emptied": AlarmKind(
            TODAY,
            "The website has no opening hours any more; in an hour it is closed here.",
            "Put the hours back, or correct the number in hours.website_branch.",
        ),
        "website_filled": _over(
            "website_emptied",
            "The website has opening hours again.",
        ),
        "website_unknown_category": AlarmKind(
            TODAY,
            "The website has a kind of hours that the door does not know.",
            "Check today's hours; on the website, call it as the others are called.",
        ),
        "holidays_failing": AlarmKind(
            TODAY,
            "The public holidays could not be computed or stored.",
            "Write the next holiday on the staff page.",
        ),
        "branch_failing": AlarmKind(
            TODAY,
            "The branch's database can't be read or written.",
            "See whether the disk is full or broken, and restart doorctl-web.",
        ),
        "rounds_failing": AlarmKind(
            TODAY,
            "A standing task of the door or the web process failed.",
            JOURNAL,
        ),
        "output_failing": AlarmKind(
            TODAY,
            "Light, alarm or another output can't be switched.",
            "Switch it by hand, and check its relay or command.",
        ),
        "lamps_failing": AlarmKind(
            TODAY,
            "Lamps or buzzer at the reader do not work.",
            "Check the wires at the reader.",
        ),
        "lamps_failing_cleared": _over(
            "lamps_failing",
            "Lamps and buzzer at the reader work again.",
        ),
        "card_guessed": AlarmKind(
            TODAY,
            "A card was used with many wrong PINs and with the right one too.",
            "Find it in the door log; have its PIN changed, then unlock it.",
        ),
        "overloaded": AlarmKind(
            TODAY,
            "Cards come faster than they can be looked up.",
            "See whether the reader repeats a card.",
        ),
        "stalled": AlarmKind(
            TODAY,
            "The door process stood still; what was typed is void.",
            "Check power supply and SD card if it happens again.",
        ),
        "process_stuck": AlarmKind(
            TODAY,
            "Part of the door process is stuck, so it is started afresh.",
            "Read the journal, and see whether the SD card fails (dmesg), if it happens again.",
        ),
        "clock_stepped": AlarmKind(
            NOW,
            "The clock jumped, so it is taken to be wrong, and no hours open the door.",
            "See which time server the Pi uses. If the clock is right, say so on the page Now.",
        ),
        "clock_stepped_cleared": _over(
            "clock_stepped",
            "The clock is taken to be right again.",
        ),
        "clock_leapt": AlarmKind(
            NOW,
            "The clock is a day or more past the last one known: nothing is deleted for 6 hours.",
            "If the clock is wrong, pull the network cable and restart the Pi.",
        ),
        "clock_leapt_cleared": _over(
            "clock_leapt",
            "The clock has run evenly for long enough.",
        ),
        "purge_failed": AlarmKind(
            TODAY,
            "Old visits could not be deleted.",
            "Run doorctl purge; check the disk.",
        ),
        "purge_incomplete": AlarmKind(
            TODAY,
            "Traces of deleted visits are still in a file.",
            "It is tried again; close programs that read visits.db.",
        ),
        "purge_limited": AlarmKind(
            TODAY,
            "More than a day of visits is too old at once, so they go by a day an hour.",
            "If the clock is wrong, pull the network cable, restart the Pi; else doorctl purge.",
        ),
        "control_failing": AlarmKind(
            TODAY,
            "A process can't be asked: its socket was not made.",
            "See the storage directory's owner, mode.",
        ),
        "not_kept": AlarmKind(
            NOTE,
            "An answer of the library system was not kept.",
            "The next visit asks again; check the disk if it goes on.",
        ),
        "log_dropped": AlarmKind(
            TODAY,
            "Log lines were lost because nobody read them.",
            "See whether journald runs.",
        ),
        NOT_SENT: AlarmKind(
            TODAY,
            "An alarm could not be sent.",
            "Mend [alarms], and try it: doorctl alarm send test.",
        ),
        HELD_BACK: AlarmKind(
            TODAY,
            "So many alarms come that some have to wait.",
            JOURNAL,
        ),
        UNLISTED: AlarmKind(
            TODAY,
            "An alarm that is not on the list.",
            JOURNAL,
        ),
        TEST: AlarmKind(NOTE, "This is a test.", NOTHING),
    }
)
"""Kind -> the facts about it, most urgent first; scripts rely on the names."""

WITH_END = frozenset(known.clears for known in KINDS.values() if known.clears is not None)
"""The kinds that another kind ends; all others are over once somebody has acknowledged them."""
