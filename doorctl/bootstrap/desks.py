"""Builds what the staff pages stand on, each desk for its page."""

from __future__ import annotations

from dataclasses import dataclass

from doorctl.bootstrap.desks_log import DoorLogDesk
from doorctl.bootstrap.desks_now import BranchNowDesk
from doorctl.bootstrap.desks_people import BanDesk, PassDesk, PeopleDesk, WhyDesk
from doorctl.bootstrap.desks_records import CountsDesk, HoursDesk, IncidentDesk, TrailDesk
from doorctl.bootstrap.numbers import DoorsNumbers
from doorctl.config import Config
from doorctl.ports import Clock
from doorctl.web.desks import (
    AuditDesk,
    BansDesk,
    CalendarDesk,
    DoorLog,
    ExplainDesk,
    HoldDesk,
    NowDesk,
    PassesDesk,
    StatisticsDesk,
    SubjectDesk,
)


@dataclass(frozen=True, slots=True)
class Desks:
    """One for each page."""

    log: DoorLog
    now: NowDesk
    explain: ExplainDesk
    bans: BansDesk
    passes: PassesDesk
    calendar: CalendarDesk
    statistics: StatisticsDesk
    subject: SubjectDesk
    audit: AuditDesk
    holds: HoldDesk


def desks(config: Config, clock: Clock) -> Desks:
    """Return them for the web process, which has numbers sealed by the door's."""
    numbers = DoorsNumbers(config.control.socket)
    return Desks(
        log=DoorLogDesk(config, clock, numbers),
        now=BranchNowDesk(config, clock),
        explain=WhyDesk(config, numbers),
        bans=BanDesk(config, clock, numbers),
        passes=PassDesk(config, numbers),
        calendar=HoursDesk(config),
        statistics=CountsDesk(config),
        subject=PeopleDesk(config, numbers),
        audit=TrailDesk(config),
        holds=IncidentDesk(config),
    )
