"""``python -m tests.faults apply``: strike a process at each of its writes, and tell."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from types import MappingProxyType

import click

from tests.faults import apply
from tests.faults.enumeration import Found, Plan, enumerated
from tests.faults.scenario import Scenario
from tests.faults.tracing import is_here

GROUPS: MappingProxyType[str, Callable[[], Sequence[Scenario]]] = MappingProxyType(
    {"apply": apply.scenarios}
)
"""What can be struck, by the name on the command line."""

QUICK_POINTS = 50
"""Of each scenario: about a minute for all."""


@click.command()
@click.argument("group", type=click.Choice(list(GROUPS)))
@click.option("--quick/--full", help="Some points evenly spread, or all of them (the default).")
@click.option("--jobs", type=click.IntRange(min=1), default=1, help="Runs at the same time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def faults(group: str, quick: bool, jobs: int, as_json: bool) -> None:
    """Kill a process, or fail its disk, at each call that writes; one line a scenario.

    Each violation is told on a line of its own; then the exit code is 1. Needs strace.
    """
    if not is_here():
        raise click.ClickException("strace is not installed or may not trace; install it")
    plan = Plan(QUICK_POINTS if quick else None, jobs)
    found = []
    for scenario in GROUPS[group]():
        found.append(_watched(scenario, plan))
        if not as_json:
            click.echo(_told(found[-1]))
    if as_json:
        click.echo(json.dumps(list(map(_fields, found)), indent=1))
    sys.exit(any(each.violations for each in found))


def _watched(scenario: Scenario, plan: Plan) -> Found:
    with click.progressbar(
        length=1, label=scenario.name, file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def on_run(of: int, done: int) -> None:
            bar.length = of
            bar.update(done)

        return enumerated(scenario, plan, on_run)


def _told(found: Found) -> str:
    line = (
        f"{found.name}: {found.calls.total():,} calls, {len(found.struck):,} of "
        f"{found.possible:,} points, {found.kills:,} kills, {found.errors:,} disk errors, "
        f"{len(found.violations)} violations, {found.seconds:.0f} s"
    )
    return "\n".join([line, *(f"  {violation}" for violation in found.violations)])


def _fields(found: Found) -> dict[str, object]:
    return {
        "scenario": found.name,
        "calls": {f"{name} {file}": count for (name, file), count in found.calls.items()},
        "possible": found.possible,
        "points": len(found.struck),
        "kills": found.kills,
        "errors": found.errors,
        "violations": found.violations,
        "seconds": round(found.seconds, 1),
    }


if __name__ == "__main__":
    faults()
