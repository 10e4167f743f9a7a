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
class Words:
    """One plain sentence in both languages."""

    da: str
    en: str

    def told(self, language: str) -> str:
        """Return it in ``da`` or ``en``."""
        return self.en if language == "en" else self.da


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """The fixed facts about one kind of alarm.

    `clears` is the kind that this one ends, None for an alarm of its own. Of a `wordless` kind
    nothing may be said beyond these sentences.

    `rest_s` is the longest rest between two notices, in seconds, whatever the branch's own
    interval; None for that interval, :data:`NO_REST_S` for no rest and no hourly limit. An end
    rests no longer than its alarm.
    """

    urgency: Urgency
    means: Words
    act: Words
    clears: str | None = None
    wordless: bool = False
    rest_s: float | None = None

    @property
    def for_people(self) -> bool:
        """Whether a person is in danger: such an alarm never rests and never waits for others."""
        return self.rest_s == NO_REST_S


NOTHING = Words("Gør ingenting.", "Do nothing.")
JOURNAL = Words(
    "Se journalen: journalctl -u doorctl-door -u doorctl-web.",
    "Read the journal: journalctl -u doorctl-door -u doorctl-web.",
)

HELD_BACK = "alarms_held_back"
UNLISTED = "unlisted"
NOT_SENT = "alarm_not_sent"
DOOR_SILENT, DOOR_ANSWERS = "door_silent", "door_answers"
TEST = "test"


def _kind(
    urgency: Urgency,
    da: str,
    en: str,
    act_da: str,
    act_en: str,
    *,
    wordless: bool = False,
    rest_s: float | None = None,
) -> AlarmKind:
    told = Words(da, en), Words(act_da, act_en)
    return AlarmKind(urgency, *told, wordless=wordless, rest_s=rest_s)


def _over(
    clears: str, da: str, en: str, act: Words = NOTHING, *, rest_s: float | None = None
) -> AlarmKind:
    return AlarmKind(NOTE, Words(da, en), act, clears, rest_s=rest_s)


KINDS: Mapping[str, AlarmKind] = MappingProxyType(
    {
        "door_forced": _kind(
            NOW,
            "Døren blev åbnet, uden at nogen var lukket ind.",
            "The door was opened and nobody had been let in.",
            "Se efter ved døren, eller ring til vagten.",
            "Look at the door, or call guards.",
            rest_s=LEAF_REST_S,
        ),
        "door_forced_cleared": _over(
            "door_forced",
            "Døren, der blev brudt op, er lukket.",
            "The door that was forced is closed.",
            Words("Se efter, om låsen stadig holder.", "See whether the lock still holds."),
            rest_s=LEAF_REST_S,
        ),
        "door_held": _kind(
            NOW,
            "Døren har stået åben for længe.",
            "The door has stood open for too long.",
            "Luk døren, og fjern, hvad der holder den.",
            "Close it; remove what holds it.",
            rest_s=LEAF_REST_S,
        ),
        "door_held_cleared": _over(
            "door_held",
            "Døren er lukket igen.",
            "The door is closed again.",
            rest_s=LEAF_REST_S,
        ),
        "duress": _kind(
            NOW,
            "Nogen ved døren har stille bedt om hjælp.",
            "Somebody at the door has silently asked for help.",
            "Ring 112, og ring ikke til biblioteket.",
            "Call 112, and do not ring the library.",
            wordless=True,
            rest_s=NO_REST_S,
        ),
        "inputs_failing": _kind(
            NOW,
            "Dørkontakten eller en anden indgang kan ikke læses.",
            "The door contact or another input can't be read.",
            "Se kablerne efter, og genstart Pi'en.",
            "Check the wires and restart the Pi.",
        ),
        "inputs_failing_cleared": _over(
            "inputs_failing",
            "Dørens indgange kan læses igen.",
            "The door's inputs can be read again.",
        ),
        "reader_lost": _kind(
            NOW,
            "Kortlæseren er væk, så ingen kan blive lukket ind.",
            "The card reader is gone, so nobody can be let in.",
            "Se dens kabel efter, og sæt det i igen.",
            "Check its cable and plug it in again.",
        ),
        "reader_lost_cleared": _over(
            "reader_lost",
            "Kortlæseren er der igen.",
            "The card reader is back.",
        ),
        "keypad_lost": _kind(
            NOW,
            "Tastaturet er væk, så ingen kan taste sin pinkode.",
            "The keypad is gone, so nobody can type a PIN.",
            "Se dets kabel efter, og sæt det i igen.",
            "Check its cable and plug it in again.",
        ),
        "keypad_lost_cleared": _over(
            "keypad_lost",
            "Tastaturet er der igen.",
            "The keypad is back.",
        ),
        "patron_cache_failing": _kind(
            NOW,
            "Lånerregistret kan ikke læses, så ingen lånere lukkes ind.",
            "The patron register can't be read, so no patron is let in.",
            "Kør doorctl status, og send registret igen: doorctl sync push --full.",
            "Run doorctl status and send the register again: doorctl sync push --full.",
        ),
        "patrons_expired": _kind(
            NOW,
            "Ingen levering har bekræftet lånerregistret i 30 dage, så det er slettet.",
            "No push has confirmed the patron register for 30 days, so it was deleted.",
            "Send hele registret igen: doorctl sync push --full.",
            "Send the whole register again: doorctl sync push --full.",
        ),
        "store_damaged": _kind(
            NOW,
            "En database var ødelagt og er lagt til side.",
            "A database was damaged and was set aside.",
            "Send lånerregistret igen (doorctl sync push --full), og skift SD-kortet snart.",
            "Send the register again (doorctl sync push --full) and soon change the SD card.",
        ),
        "self_test_failed": _kind(
            NOW,
            "Morgenens selvtest fandt en fejl.",
            "The morning's self-test found a fault.",
            "Kør doorctl selftest på stedet.",
            "Run doorctl selftest on the machine.",
        ),
        "relay_unsafe": _kind(
            TODAY,
            "Relæet kan blive ved med at være trukket, hvis dørens proces dør.",
            "The relay can stay on if the door process dies.",
            "Kør doorctl check-config, og gør, hvad der står.",
            "Run doorctl check-config and do what it says.",
        ),
        "calendar_unknown": _kind(
            NOW,
            "Åbningstiderne kendes ikke, så døren er lukket for lånere.",
            "The opening hours are not known, so the door is closed to patrons.",
            "Skriv dagens åbningstid på personalesiden, eller ret [hours].",
            "Write today's hours on the staff page, or mend [hours].",
        ),
        "calendar_unknown_cleared": _over(
            "calendar_unknown",
            "Åbningstiderne kendes igen.",
            "The opening hours are known again.",
        ),
        "clock_untrusted_at_opening": _kind(
            NOW,
            "Uret er ikke stillet, så ingen lånere lukkes ind.",
            "The clock is not set, so no patron is let in.",
            "Se, om netværket og timedatectl er i orden.",
            "See whether the network and timedatectl are right.",
        ),
        DOOR_SILENT: _kind(
            NOW,
            "Dørens proces svarer ikke.",
            "The door process does not answer.",
            "Kør systemctl status doorctl-door; genstart ellers Pi'en.",
            "Run systemctl status doorctl-door; else restart the Pi.",
        ),
        DOOR_ANSWERS: _over(
            DOOR_SILENT, "Dørens proces svarer igen.", "The door process answers again."
        ),
        "door_failed": _kind(
            TODAY,
            "Dørens proces er standset med en fejl og startes igen.",
            "The door process has failed and is started again.",
            "Kør systemctl status doorctl-door.",
            "Run systemctl status doorctl-door.",
        ),
        "web_failed": _kind(
            TODAY,
            "Webprocessen er standset med en fejl; døren virker stadig.",
            "The web process has failed; the door still works.",
            "Kør systemctl status doorctl-web.",
            "Run systemctl status doorctl-web.",
        ),
        "visit_log_failing": _kind(
            TODAY,
            "Dørloggen kan ikke skrives; lånere lukkes stadig ind.",
            "The door log can't be written; patrons are still let in.",
            "Se, om disken er fuld eller skrivebeskyttet (df, dmesg).",
            "See whether the disk is full or read-only (df, dmesg).",
        ),
        "visit_log_cleared": _over(
            "visit_log_failing", "Dørloggen skrives igen.", "The door log is written again."
        ),
        "patrons_outdated": _kind(
            TODAY,
            "Lånerregistret er lavet til en anden aldersgrænse.",
            "The patron register was made for another age limit.",
            "Send hele registret igen: doorctl sync push --full.",
            "Send the whole register again: doorctl sync push --full.",
        ),
        "refusals_unusual": _kind(
            TODAY,
            "Usædvanligt mange afvises af samme grund.",
            "Unusually many are refused for the same reason.",
            "Se dørloggen, og prøv et kort.",
            "Read the door log, and try a card yourself.",
        ),
        "push_guarded": _kind(
            TODAY,
            "En levering ville lukke for mange lånere ude og blev afvist.",
            "A push would shut out too many patrons and was refused.",
            "Se udtrækket efter; godkend det ellers med --approved-by NAVN.",
            "Check the export; else approve it with --approved-by NAME.",
        ),
        "push_widened": _kind(
            TODAY,
            "En levering lukker mange lånere ind, som før blev afvist.",
            "A push lets in many patrons who were refused before.",
            "Se efter, om udtrækket mangler spærringer eller kommuner.",
            "Check whether the export lacks blocks or municipalities.",
        ),
        "push_conflict": _kind(
            TODAY,
            "To leveringer har samme nummer og forskelligt indhold.",
            "Two pushes have the same number and other contents.",
            "Find ud af, om to servere sender til filialen.",
            "Find out whether two servers send to this branch.",
        ),
        "push_approved": _kind(
            NOTE,
            "En stor ændring af lånerregistret er godkendt og taget i brug.",
            "A large change of the patron register was approved and applied.",
            "Spørg den, der godkendte den, hvis du undrer dig.",
            "Ask whoever approved it, if you wonder.",
        ),
        "branch_rolled_back": _kind(
            NOW,
            "Filialens database er en ældre kopi: inddragne tilladelser kan gælde igen.",
            "The branch's database is an older copy: passes that were revoked may count again.",
            "Gå karantæner og tilladelser igennem for tiden, der mangler, og kvittér.",
            "Go through bans and passes for the time that is missing, then acknowledge this.",
        ),
        "audit_rewritten": _kind(
            NOW,
            "En filials revisionslog er skrevet om eller sat tilbage.",
            "The audit log of a branch was written anew or rolled back.",
            "Har ingen lagt en kopi ind, så se, hvem der skjuler noget: doorctl audit verify.",
            "If nobody restored a copy, see who hides something: doorctl audit verify.",
        ),
        "export_old": _kind(
            TODAY,
            "Der er ikke kommet et nyt udtræk fra bibliotekssystemet i 26 timer.",
            "No new export has come from the library system for 26 hours.",
            "Se, om bibliotekssystemet laver sit udtræk, og om det bliver lagt her.",
            "See whether the library system makes its export, and whether it arrives here.",
        ),
        "export_old_cleared": _over(
            "export_old", "Der er kommet et nyt udtræk.", "A new export has come."
        ),
        "rows_set_aside": _kind(
            TODAY,
            "Nogle rækker i udtrækket er forkerte og er lagt til side.",
            "Some rows of the export are wrong and were set aside.",
            "Ret lånerne i bibliotekssystemet; alle rækkerne står i set-aside.txt på serveren.",
            "Mend the patrons in the library system; set-aside.txt on the server has all rows.",
        ),
        "rows_set_aside_cleared": _over(
            "rows_set_aside", "Ingen rækker er forkerte mere.", "No row is wrong any more."
        ),
        "branch_behind": _kind(
            TODAY,
            "En filial har længe ikke kunnet få lånerregistret.",
            "A branch could not be given the patron register for long.",
            "Se, om filialens Pi og netværk er i gang; efter 72 timer lukkes ingen lånere ind.",
            "See whether its Pi and network are up; after 72 hours no patron is let in there.",
        ),
        "branch_behind_cleared": _over(
            "branch_behind", "Filialen har fået lånerregistret.", "The branch has the register."
        ),
        "branch_refuses": _kind(
            TODAY,
            "En filial afviser lånerregistret.",
            "A branch refuses the patron register.",
            "Gør, hvad grunden siger: ret udtræk, nøgle eller regler, eller godkend det.",
            "Do what the reason says: mend export, key or rules, or approve it.",
        ),
        "branch_refuses_cleared": _over(
            "branch_refuses", "Filialen tager imod igen.", "The branch takes the register again."
        ),
        "sync_failed": _kind(
            TODAY,
            "Lånerregistret kunne ikke sendes til nogen filial.",
            "The patron register could be sent to no branch.",
            "Ret, hvad grunden nævner, ofte udtrækket; doorctl sync push siger alt.",
            "Mend what the reason names, often the export; doorctl sync push says all of it.",
        ),
        "sync_failed_cleared": _over(
            "sync_failed", "Lånerregistret sendes igen.", "The patron register is sent again."
        ),
        "register_old": _kind(
            TODAY,
            "Lånerregistret er ikke leveret længe; snart lukkes ingen lånere ind.",
            "The patron register has not come for long; soon no patron is let in.",
            "Se på serveren, hvorfor: doorctl sync push.",
            "See on the server why: doorctl sync push.",
        ),
        "register_old_cleared": _over(
            "register_old",
            "Lånerregistret er leveret igen.",
            "The patron register has come again.",
        ),
        "disk_low": _kind(
            TODAY,
            "Der er snart ikke mere plads på disken.",
            "The disk is nearly full.",
            "Slet, hvad andre programmer har lagt der (df, du).",
            "Delete what other programs have left there (df, du).",
        ),
        "disk_low_cleared": _over(
            "disk_low",
            "Der er plads på disken igen.",
            "There is room on the disk again.",
        ),
        "web_silent": _kind(
            TODAY,
            "Webprocessen svarer ikke; døren virker, men får intet nyt.",
            "The web process does not answer; the door works, and hears nothing new.",
            "Kør systemctl restart doorctl-web.",
            "Run systemctl restart doorctl-web.",
        ),
        "web_silent_cleared": _over(
            "web_silent",
            "Webprocessen svarer igen.",
            "The web process answers again.",
        ),
        "undervoltage": _kind(
            TODAY,
            "Strømforsyningen er for svag; Pi'en kan gå i stå.",
            "The power supply is too weak; the Pi may stop.",
            "Skift strømforsyningen til en, der er lavet til Pi'en.",
            "Change the power supply for one that is made for this Pi.",
        ),
        "undervoltage_cleared": _over(
            "undervoltage",
            "Strømforsyningen er god nok igen.",
            "The power supply is good enough again.",
        ),
        "library_silent": _kind(
            TODAY,
            "Bibliotekssystemet svarer ikke; kendte kort virker stadig.",
            "The library system does not answer; cards that are known still work.",
            "Se, om netværket og leverandøren melder fejl.",
            "See whether the network and the supplier report a fault.",
        ),
        "library_answers": _over(
            "library_silent", "Bibliotekssystemet svarer igen.", "The library system answers again."
        ),
        "website_silent": _kind(
            TODAY,
            "Hjemmesidens åbningstider kan ikke hentes; de sidst hentede gælder.",
            "The website's hours can't be fetched; the last ones count.",
            "Se, om hjemmesiden er nede, inden dagene er brugt op.",
            "See whether the website is down before the kept days are used up.",
        ),
        "website_answers": _over(
            "website_silent",
            "Hjemmesidens åbningstider hentes igen.",
            "The website's hours are fetched again.",
        ),
        "website_emptied": _kind(
            TODAY,
            "Hjemmesiden har ingen åbningstider mere; om en time er her lukket.",
            "The website has no opening hours any more; in an hour it is closed here.",
            "Skriv tiderne ind igen, eller ret nummeret i hours.website_branch.",
            "Put the hours back, or correct the number in hours.website_branch.",
        ),
        "website_filled": _over(
            "website_emptied",
            "Hjemmesiden har åbningstider igen.",
            "The website has opening hours again.",
        ),
        "website_unknown_category": _kind(
            TODAY,
            "Hjemmesiden har en slags åbningstid, som døren ikke kender.",
            "The website has a kind of hours that the door does not know.",
            "Se dagens tider efter; kald den på hjemmesiden det samme som de andre.",
            "Check today's hours; on the website, call it as the others are called.",
        ),
        "holidays_failing": _kind(
            TODAY,
            "Helligdagene kunne ikke regnes ud eller gemmes.",
            "The public holidays could not be computed or stored.",
            "Skriv den næste helligdag på personalesiden.",
            "Write the next holiday on the staff page.",
        ),
        "branch_failing": _kind(
            TODAY,
            "Filialens database kan ikke læses eller skrives.",
            "The branch's database can't be read or written.",
            "Se, om disken er fuld eller ødelagt, og genstart doorctl-web.",
            "See whether the disk is full or broken, and restart doorctl-web.",
        ),
        "rounds_failing": _kind(
            TODAY,
            "En fast opgave i dørens eller webbets proces fejlede.",
            "A standing task of the door or the web process failed.",
            JOURNAL.da,
            JOURNAL.en,
        ),
        "output_failing": _kind(
            TODAY,
            "Lys, alarm eller en anden udgang kan ikke styres.",
            "Light, alarm or another output can't be switched.",
            "Tænd og sluk med hånden, og se relæ eller kommando efter.",
            "Switch it by hand, and check its relay or command.",
        ),
        "lamps_failing": _kind(
            TODAY,
            "Lamper eller summer ved læseren virker ikke.",
            "Lamps or buzzer at the reader do not work.",
            "Se ledningerne ved læseren efter.",
            "Check the wires at the reader.",
        ),
        "lamps_failing_cleared": _over(
            "lamps_failing",
            "Lamper og summer ved læseren virker igen.",
            "Lamps and buzzer at the reader work again.",
        ),
        "card_guessed": _kind(
            TODAY,
            "Et kort er brugt med mange forkerte pinkoder og også med den rigtige.",
            "A card was used with many wrong PINs and with the right one too.",
            "Find det i dørloggen; giv låneren en ny pinkode og lås kortet op.",
            "Find it in the door log; have its PIN changed, then unlock it.",
        ),
        "overloaded": _kind(
            TODAY,
            "Der kommer kort hurtigere, end de kan slås op.",
            "Cards come faster than they can be looked up.",
            "Se, om læseren gentager et kort.",
            "See whether the reader repeats a card.",
        ),
        "stalled": _kind(
            TODAY,
            "Dørens proces stod stille; det indtastede gælder ikke.",
            "The door process stood still; what was typed is void.",
            "Se strømforsyning og SD-kort efter, hvis det sker igen.",
            "Check power supply and SD card if it happens again.",
        ),
        "process_stuck": _kind(
            TODAY,
            "En del af dørens proces er gået i stå, så den startes forfra.",
            "Part of the door process is stuck, so it is started afresh.",
            "Se journalen, og om SD-kortet fejler (dmesg), hvis det sker igen.",
            "Read the journal, and see whether the SD card fails (dmesg), if it happens again.",
        ),
        "clock_stepped": _kind(
            NOW,
            "Uret sprang, så det regnes for forkert, og døren åbner ikke efter åbningstiden.",
            "The clock jumped, so it is taken to be wrong, and no hours open the door.",
            "Se, hvilken tidsserver Pi'en bruger. Går uret rigtigt, så sig det på siden Nu.",
            "See which time server the Pi uses. If the clock is right, say so on the page Now.",
        ),
        "clock_stepped_cleared": _over(
            "clock_stepped",
            "Uret regnes for rigtigt igen.",
            "The clock is taken to be right again.",
        ),
        "clock_leapt": _kind(
            NOW,
            "Uret er et døgn eller mere foran det sidst kendte, så intet slettes i 6 timer.",
            "The clock is a day or more past the last one known: nothing is deleted for 6 hours.",
            "Går uret forkert, så træk netværkskablet ud, og genstart Pi'en.",
            "If the clock is wrong, pull the network cable and restart the Pi.",
        ),
        "clock_leapt_cleared": _over(
            "clock_leapt",
            "Uret har gået jævnt længe nok.",
            "The clock has run evenly for long enough.",
        ),
        "purge_failed": _kind(
            TODAY,
            "Gamle besøg kunne ikke slettes.",
            "Old visits could not be deleted.",
            "Kør doorctl purge, og se disken efter.",
            "Run doorctl purge; check the disk.",
        ),
        "purge_incomplete": _kind(
            TODAY,
            "Spor af slettede besøg ligger endnu i en fil.",
            "Traces of deleted visits are still in a file.",
            "Det prøves igen; luk programmer, der læser visits.db.",
            "It is tried again; close programs that read visits.db.",
        ),
        "purge_limited": _kind(
            TODAY,
            "Mere end et døgns besøg er for gamle på én gang, så de slettes et døgn i timen.",
            "More than a day of visits is too old at once, so they go by a day an hour.",
            "Er uret forkert, så træk netkablet ud, og genstart Pi'en; ellers kør doorctl purge.",
            "If the clock is wrong, pull the network cable, restart the Pi; else doorctl purge.",
        ),
        "control_failing": _kind(
            TODAY,
            "En proces kan ikke spørges: dens socket blev ikke lavet.",
            "A process can't be asked: its socket was not made.",
            "Se lagermappens ejer og rettigheder.",
            "See the storage directory's owner, mode.",
        ),
        "not_kept": _kind(
            NOTE,
            "Et svar fra bibliotekssystemet blev ikke gemt.",
            "An answer of the library system was not kept.",
            "Næste besøg spørger igen; se disken efter, hvis det bliver ved.",
            "The next visit asks again; check the disk if it goes on.",
        ),
        "log_dropped": _kind(
            TODAY,
            "Loglinjer gik tabt, fordi ingen læste dem.",
            "Log lines were lost because nobody read them.",
            "Se, om journald kører.",
            "See whether journald runs.",
        ),
        NOT_SENT: _kind(
            TODAY,
            "En alarm kunne ikke sendes.",
            "An alarm could not be sent.",
            "Ret [alarms], og prøv med: doorctl alarm send test.",
            "Mend [alarms], and try it: doorctl alarm send test.",
        ),
        HELD_BACK: _kind(
            TODAY,
            "Der kommer så mange alarmer, at nogle venter.",
            "So many alarms come that some have to wait.",
            JOURNAL.da,
            JOURNAL.en,
        ),
        UNLISTED: _kind(
            TODAY,
            "En alarm, som ikke står på listen.",
            "An alarm that is not on the list.",
            JOURNAL.da,
            JOURNAL.en,
        ),
        TEST: _kind(NOTE, "Dette er en prøve.", "This is a test.", NOTHING.da, NOTHING.en),
    }
)
"""Kind -> the facts about it, most urgent first; scripts rely on the names."""

WITH_END = frozenset(known.clears for known in KINDS.values() if known.clears is not None)
"""The kinds that another kind ends; all others are over once somebody has acknowledged them."""
