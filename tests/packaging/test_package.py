"""What packaging/build made, looked at without installing it: `packaging/README.md` says how."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from doorctl.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "packaging" / "build"
MACHINES = {"amd64": 62, "arm64": 183}
"""Numbers of the processors in the head of a compiled file (ELF, ``e_machine``)."""

UNCHECKED_HASH = 1
"""The flag of bytecode that Python takes as it is, without asking for a file's date (PEP 552)."""


@dataclass(frozen=True)
class Package:
    """A built package, and where its two halves were unpacked."""

    file: Path
    root: Path
    control: Path

    def field(self, name: str) -> str:
        """Return a field of its control file."""
        command = ("dpkg-deb", "--field", self.file, name)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    @property
    def release(self) -> Path:
        """The folder of which the release is made."""
        return self.root / "opt/doorctl/package"

    @property
    def site(self) -> Path:
        """Its libraries."""
        return self.release / "lib/python3.13/site-packages"

    def names(self) -> set[str]:
        """Return the names of all its files, from the root on."""
        return {str(one.relative_to(self.root)) for one in self.root.rglob("*") if not one.is_dir()}


def built() -> list[Path]:
    """Return the packages that are to be looked at."""
    return sorted(Path(os.environ.get("DOORCTL_PACKAGES", "/nowhere")).glob("doorctl_*.deb"))


@pytest.fixture(scope="module", params=MACHINES)
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Return the package for an architecture, unpacked; skip where it was not built."""
    found = [one for one in built() if one.stem.endswith(f"_{request.param}")]
    if not found:
        pytest.skip("DOORCTL_PACKAGES names no folder with this package; see packaging/README.md")
    room = tmp_path_factory.mktemp("package")
    for option, name in (("--extract", "root"), ("--control", "control")):
        subprocess.run(("dpkg-deb", option, found[0], room / name), check=True)
    return Package(found[0], room / "root", room / "control")


def test_it_is_tied_to_the_python_that_its_libraries_are_for(package: Package) -> None:
    """Apt takes nothing away under it, and asks for what switches the relay off without Python."""
    depends = package.field("Depends").split(", ")

    assert {"python3 (>= 3.13)", "python3 (<< 3.14)", "gpiod", "age", "openssl"} <= set(depends)
    # systemd-run needs it, and neither systemd nor debootstrap brings it.
    assert "default-dbus-system-bus | dbus-system-bus" in depends
    program = (package.release / "bin/doorctl").read_text(encoding="utf-8")
    version = package.field("Version")
    assert program.startswith(f"#!/opt/doorctl/releases/{version}/bin/python3 -I\n")


PLACES = {
    "doorctl.sysusers.conf": "sysusers.d/doorctl.conf",
    "doorctl-sync.sysusers.conf": "sysusers.d/doorctl-sync.conf",
    "doorctl.tmpfiles.conf": "tmpfiles.d/doorctl.conf",
    "doorctl-sync.tmpfiles.conf": "tmpfiles.d/doorctl-sync.conf",
    "doorctl.modules-load.conf": "modules-load.d/doorctl.conf",
    "doorctl.udev.rules": "udev/rules.d/60-doorctl.rules",
    "doorctl.system.conf": "systemd/system.conf.d/50-doorctl.conf",
    "doorctl.journald.conf": "systemd/journald.conf.d/50-doorctl.conf",
}
"""Where Debian has what is no unit, from /usr/lib on."""


def test_all_that_systemd_reads_is_where_debian_has_it(package: Package) -> None:
    """No unit or setting of the folder is forgotten; watchdog and journal are a board's only."""
    names = package.names()
    folder = {one.name for one in (ROOT / "systemd").iterdir()} - {"README.md", "lgpio.lock"}
    places = {name: PLACES.get(name, f"systemd/system/{name}") for name in folder}
    board = {f"usr/lib/{places[f'doorctl.{name}.conf']}" for name in ("system", "journald")}
    wanted = {f"usr/lib/{place}" for place in places.values()} - board

    assert set(PLACES) <= folder
    assert {*wanted, "usr/lib/systemd/system-preset/50-doorctl.preset"} <= names
    assert names & board == (board if package.field("Architecture") == "arm64" else set())


def test_its_units_call_the_program_by_the_link(package: Package) -> None:
    """Whichever version the link names is run, and the page that a unit names is there."""
    units = sorted((package.root / "usr/lib/systemd/system").glob("*.service"))
    text = "".join(one.read_text(encoding="utf-8") for one in units)
    folder = package.root / "opt/doorctl"

    assert set(re.findall(r"/opt/doorctl/\S+", text)) == {
        "/opt/doorctl/current/bin/doorctl",
        "/opt/doorctl/upgrade.json",
    }
    link = (package.root / "usr/bin/doorctl").readlink()
    assert str(link) == "/opt/doorctl/current/bin/doorctl"
    assert [one.name for one in folder.iterdir()] == ["package"]
    # Who goes back to a release has its units again.
    beside = {one.name: one.read_bytes() for one in (package.release / "systemd").iterdir()}
    assert {one.name: one.read_bytes() for one in units}.items() <= beside.items()
    for page in set(re.findall("^Documentation=file:(.*)$", text, re.MULTILINE)):
        assert (package.root / page.lstrip("/")).is_file()


def test_installing_begins_nothing(package: Package) -> None:
    """No unit is enabled or started, so no relay moves before somebody says so."""
    preset = package.root / "usr/lib/systemd/system-preset/50-doorctl.preset"
    scripts = "".join(
        (package.control / name).read_text(encoding="utf-8") for name in ("postinst", "prerm")
    )

    assert "disable doorctl-*" in preset.read_text(encoding="utf-8").splitlines()
    assert not re.search(r"systemctl.* (enable|start|restart) [^;\n]*doorctl", scripts)
    assert "@" not in scripts.replace("$@", "")
    # Of an upgrade that was cut short, and only where there is one.
    ends = "usr/lib/systemd/system/multi-user.target.wants/doorctl-upgrade.service"
    wanted = {name for name in package.names() if ".wants/" in name or name.startswith("etc/")}
    assert wanted == {ends}


def test_nothing_is_inside_that_only_builds_or_tests(package: Package) -> None:
    """An installer on the door's machine would be one more way in."""
    names = {one.name.partition("-")[0].lower() for one in package.site.iterdir()}

    assert names & {"pip", "setuptools", "wheel", "pytest", "tests", "bin", "share"} == set()
    assert sorted(one.name for one in (package.release / "bin").iterdir()) == ["doorctl", "python3"]


def test_every_module_has_bytecode_that_is_taken_as_it_is(package: Package) -> None:
    """A start neither compiles nor writes anything, and asks no clock."""
    missing = []
    for module in package.site.rglob("*.py"):
        compiled = module.parent / "__pycache__" / f"{module.stem}.cpython-313.pyc"
        head = compiled.read_bytes()[:8] if compiled.exists() else b""
        if head[4:] != UNCHECKED_HASH.to_bytes(4, "little"):
            missing.append(module)

    assert missing == []


def test_what_is_compiled_is_for_its_processor(package: Package) -> None:
    """The libraries were made for the machine that the package says, lgpio and libosdp too."""
    wanted = MACHINES[package.field("Architecture")]
    compiled = list(package.site.rglob("*.so"))

    assert {"_lgpio", "osdp_sys"} <= {one.name.partition(".")[0] for one in compiled}
    assert {int.from_bytes(one.read_bytes()[18:20], "little") for one in compiled} == {wanted}


def test_the_list_of_parts_is_that_of_the_lock(package: Package) -> None:
    """Each library that is inside stands in the SBOM with the version and a digest of the lock."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    lock += (ROOT / "systemd/lgpio.lock").read_text(encoding="utf-8")
    listed = json.loads((package.root / "usr/share/doc/doorctl/doorctl.cdx.json").read_bytes())
    parts = {part["purl"]: part for part in listed["components"]}
    folders = [one.name for one in package.site.glob("*.dist-info")]

    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    assert len(parts) == len(folders) - 1
    for part in parts.values():
        assert f"sha256:{part['hashes'][0]['content']}" in lock
        name = re.sub(r"[-_.]+", "-", part["name"]).lower()
        assert re.search(rf"^{name}=={re.escape(part['version'])} ", lock, re.MULTILINE)
    inside = {one["name"] for part in parts.values() for one in part.get("components", ())}
    assert {"openssl", "libsodium", "libargon2"} <= inside


def test_the_page_about_it_says_how_much_room_it_takes(package: Package) -> None:
    """Within a twentieth: whoever has a small card reads it there."""
    page = (ROOT / "packaging/README.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"(\d+) MB once installed", page)
    takes_mb = int(package.field("Installed-Size")) * 1024 / 1e6
    assert abs(int(said) - takes_mb) < takes_mb / 20


def test_the_ready_maps_of_library_systems_come_with_it(package: Package) -> None:
    """Where the program finds what was shipped: the server of a library has no checkout."""
    ready, ours = "config/sources", package.site / "config/sources"
    assert {one.name for one in ours.iterdir()} == {one.name for one in (ROOT / ready).iterdir()}


def test_each_command_has_a_page_and_each_shell_its_completion(package: Package) -> None:
    """``man doorctl-NAME`` and the tabulator know what the program knows."""
    pages = package.root / "usr/share/man/man1"
    first = gzip.decompress((pages / "doorctl.1.gz").read_bytes()).decode()

    for name in COMMANDS:
        page = gzip.decompress((pages / f"doorctl-{name}.1.gz").read_bytes()).decode()
        assert rf".BR doorctl\-{name}".replace("-", r"\-").replace(r"\\-", r"\-") in first
        assert ".SH SYNOPSIS" in page
    for where in (
        "bash-completion/completions/doorctl",
        "zsh/vendor-completions/_doorctl",
        "fish/vendor_completions.d/doorctl.fish",
    ):
        text = (package.root / "usr/share" / where).read_text(encoding="utf-8")
        assert "_DOORCTL_COMPLETE" in text


def test_the_program_in_it_runs(package: Package) -> None:
    """With Debian's Python and nothing but what is inside, it says its version and its examples.

    Bug (operations review): it said 0.2.0 in the packages 0.2.1 and 0.2.3.
    """
    python = shutil.which("/usr/bin/python3.13") or shutil.which("python3.13")
    if python is None or package.field("Architecture") != "amd64":
        pytest.skip("no Python 3.13 here, or another processor")
    code = f"import sys; sys.path.insert(0, {str(package.site)!r}); import doorctl.cli.app as a"
    for end in (
        "a.app(['--version'])",
        "from doorctl.config.shipped import shipped; shipped('demo.toml')",
    ):
        command = (python, "-IS", "-c", f"{code}\n{end}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if "version" in end:
            assert done.stdout.split()[-1] == package.field("Version")


def test_purge_keeps_data_unless_somebody_says_otherwise(package: Package) -> None:
    """Where nobody can answer, the answer is no; and nothing else deletes keys or databases."""
    template = (package.control / "templates").read_text(encoding="utf-8")
    deleting = {
        name: (package.control / name).read_text(encoding="utf-8").count("/var/lib/doorctl")
        for name in ("postinst", "prerm", "postrm")
    }

    assert "\nDefault: false\n" in template
    assert "\nDescription-da.UTF-8:" in template
    assert deleting == {"postinst": 0, "prerm": 0, "postrm": 3}


def test_a_second_build_has_the_same_bytes(package: Package, tmp_path: Path) -> None:
    """Whoever doubts a package builds it anew, elsewhere and as somebody else, and compares."""
    if package.field("Architecture") != "amd64":
        pytest.skip("one architecture shows it")
    other = {
        "HOME": str(tmp_path),
        "TZ": "Asia/Tokyo",
        "LANG": "da_DK.UTF-8",
        "TMPDIR": str(tmp_path),
    }
    words = ("--quick", "--output", str(tmp_path / "again"), "amd64")
    subprocess.run(
        ("sh", "-c", 'umask 077; exec "$0" "$@"', BUILD, *words),
        check=True,
        env=os.environ | other,
        stdout=subprocess.DEVNULL,
    )
    (again,) = (tmp_path / "again").glob("*.deb")

    assert again.name == package.file.name
    assert again.read_bytes() == package.file.read_bytes()
