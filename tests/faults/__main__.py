"""``python -m tests.faults all``: strike processes at each of their calls to the disk, and tell."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType

import click

from tests.faults import apply, commands
from tests.faults.enumeration import Found, Plan, Scenario, enumerated
from tests.faults.swipe import swipe
from tests.faults.tracing import Fault, is_here

GROUPS: MappingProxyType[str, Callable[[], Sequence[Scenario]]] = MappingProxyType(
    {
        "swipe": lambda: [swipe()],
        "apply": apply.scenarios,
        "purge": commands.purges,
        "start": commands.starts,
        "export": commands.exports,
        "backup": commands.backups,
    }
)
"""What can be struck, by the name on the command line."""

ALL = "all"
QUICK_POINTS = 16
"""Of each scenario: about a minute for all."""


@click.command()
@click.argument("group", type=click.Choice([ALL, *GROUPS]))
@click.option("--quick/--full", help="Some points evenly spread, or all of them (the default).")
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Runs at the same time.")
def faults(group: str, quick: bool, jobs: int) -> None:
    """Kill a process, fail its disk or take its descriptors, at each call to the branch's files.

    A table with a line for each scenario; what errors there are follows below. Each violation is
    told on a line of its own; then the exit code is 1. Needs strace.
    """
    if not is_here():
        raise click.ClickException("strace is not installed or may not trace; install it")
    plan = Plan(QUICK_POINTS if quick else None, jobs)
    groups = GROUPS.values() if group == ALL else [GROUPS[group]]
    click.echo(_row("struck", HEADS))
    found = []
    for scenario in (scenario for group_of in groups for scenario in group_of()):
        found.append(_watched(scenario, plan))
        _tell(found[-1])
    click.echo(_summed(found))
    sys.exit(any(each.violations for each in found))


HEADS = ("calls", "possible", "points", "killed", "errors", "missed", "wrong", "seconds")


def _row(name: str, cells: Iterable[str]) -> str:
    return f"{name:<40}" + "".join(f"{cell:>9}" for cell in cells)


def _tell(found: Found) -> None:
    click.echo(_row(found.name, map("{:,}".format, _counted(found))))
    for violation in found.violations:
        click.echo(f"  {violation}")


def _counted(found: Found) -> list[int]:
    runs = [len(found.struck), found.kills, found.errors, found.missed, len(found.violations)]
    return [found.calls.total(), found.possible, *runs, round(found.seconds)]


def _summed(found: Sequence[Found]) -> str:
    sums = [sum(column) for column in zip(*map(_counted, found), strict=True)]
    faults = Counter(each.point.fault for one in found for each in one.struck if each.took)
    return "\n".join(
        [
            _row("all", map("{:,}".format, sums)),
            *(
                f"  {fault.name.lower().replace('_', ' '):<38}{faults[fault]:>9,}"
                for fault in Fault
            ),
        ]
    )


def _watched(scenario: Scenario, plan: Plan) -> Found:
    with click.progressbar(
        length=1, label=scenario.name, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def on_run(of: int, done: int) -> None:
            bar.length = of
            bar.update(done)

        return enumerated(scenario, plan, on_run)


if __name__ == "__main__":
    faults()
