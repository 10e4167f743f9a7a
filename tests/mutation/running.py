"""Runs mutmut over a copy of the tree, never over the checkout.

In the copy hypothesis tries a few examples of each property, the same each time, and does not look
for a smaller one: what a property needs thousands of examples to notice counts as not noticed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutmut.stats import status_by_exit_code

from tests.mutation.rooms import ROOT, Chosen

COPIED = ("doorctl", "tests", "config", "pyproject.toml", "README.md")
EXAMPLES = 12
PROFILE = f"""

from hypothesis import Phase

settings.register_profile(
    "mutation",
    parent=settings.get_profile("suite"),
    derandomize=True,
    max_examples={EXAMPLES},
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("mutation")
"""
SURVIVED = "survived"
NOTICED = frozenset({"killed", "timeout"})
"""Whatever else comes of a change is a survivor: nothing reached it, or nobody knows."""


@dataclass(frozen=True)
class Result:
    """What came of one change, and how long it took."""

    name: str
    status: str
    seconds: float


def run(
    chosen: Chosen, names: Sequence[str] | None, jobs: int, looked_at: Collection[str]
) -> list[Result]:
    """Change, test, and throw the copy away.

    Args:
        chosen: what to change and what to ask.
        names: mutmut's names of the changes to make; None for all.
        jobs: processes at the same time.
        looked_at: changes that the slow tests are shown as well, where they survive the others.

    Raises:
        RuntimeError: the tests fail without any change, or mutmut does not run.
    """
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        _prepare(copy, chosen)
        _mutmut(copy, names or (), jobs)
        results = _results(copy, chosen.files)
        if names is not None:
            results = [one for one in results if one.name in set(names)]
        slow = chosen.slow
        return [_shown_again(copy, one, slow) if one.name in looked_at else one for one in results]


def _prepare(copy: Path, chosen: Chosen) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, copy / name)
    with (copy / "tests/conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(PROFILE)
    with (copy / "pyproject.toml").open("a", encoding="utf-8") as pyproject:
        pyproject.write(_settings(chosen))


def _settings(chosen: Chosen) -> str:
    left_out = [f"--deselect={name}" for name in chosen.slow]
    values = {
        "source_paths": ["doorctl"],
        "only_mutate": chosen.files,
        "also_copy": [name for name in COPIED if name != "doorctl"],
        "pytest_add_cli_args_test_selection": chosen.tests,
        "pytest_add_cli_args": ["-p", "no:cacheprovider", *left_out],
        "timeout_constant": 5,
        # Of 15, a change that never ends takes minutes.
        "timeout_multiplier": 4,
        "use_git_change_detection": False,
    }
    # JSON's lists, texts, numbers and booleans are TOML's too.
    lines = (f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    return "\n[tool.mutmut]\n" + "".join(lines)


def _mutmut(copy: Path, names: Iterable[str], jobs: int) -> None:
    ran = _python(copy, "-m", "mutmut", "run", "--max-children", str(jobs), *names)
    if ran.returncode:
        raise RuntimeError(f"mutmut: {ran.stdout[-3000:]}{ran.stderr[-1000:]}")


def _results(copy: Path, files: Iterable[str]) -> list[Result]:
    results = []
    for file in files:
        meta = json.loads((copy / "mutants" / f"{file}.meta").read_text(encoding="utf-8"))
        lasted = meta["durations_by_key"]
        for name, code in meta["exit_code_by_key"].items():
            status = status_by_exit_code[code]
            results.append(Result(name, status, lasted.get(name) or 0.0))
    return results


def _shown_again(copy: Path, one: Result, slow: Sequence[str]) -> Result:
    if one.status in NOTICED or not slow:
        return one
    started = time.monotonic()
    noticed = _slow_tests_fail(copy / "mutants", one.name, slow)
    seconds = one.seconds + time.monotonic() - started
    return Result(one.name, "killed" if noticed else one.status, seconds)


def _slow_tests_fail(mutated: Path, name: str, slow: Sequence[str]) -> bool:
    pytest = ("-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider")
    ran = _python(mutated, *pytest, *slow, environment={"MUTANT_UNDER_TEST": name})
    return ran.returncode == 1


def _python(
    directory: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    added = {"PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**os.environ, **added},
        capture_output=True,
        text=True,
        check=False,
    )
