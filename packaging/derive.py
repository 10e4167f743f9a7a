"""Makes what follows from the program itself: man pages, completion, licences and a list of parts.

``derive.py ROOT HOME ARCHITECTURE VERSION WHEELS LGPIO_LOCK``, run by packaging/build, with doorctl
importable. ROOT is the package's tree; HOME the release's folder in it; WHEELS where its libraries
came from. ``SOURCE_DATE_EPOCH`` dates what is made, which is the same each time.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from email.parser import Parser
from inspect import cleandoc
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from doorctl.cli.app import app

COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/doorctl",
    "zsh": "usr/share/zsh/vendor-completions/_doorctl",
    "fish": "usr/share/fish/vendor_completions.d/doorctl.fish",
}

INSIDE = {
    "PyNaCl": "libsodium",
    "argon2-cffi-bindings": "libargon2",
    "lgpio": "lg",
    "libosdp": "tiny-AES-c",
}
"""C libraries in wheels that don't list them by themselves (PEP 770), as cryptography does."""

LICENCES = {"click-default-group": "Apache-2.0", "Jinja2": "BSD-3-Clause", "segno": "BSD-3-Clause"}
"""Of libraries whose metadata say it in a classifier only."""

FOOT = r"""
.SH EXIT STATUS
0 done; 1 refused or failed, with a clear line on standard error; 2 wrong usage.
.SH ENVIRONMENT
.TP
.B DOORCTL_CONFIG
the configuration, where \-\-config does not name it
.SH FILES
.TP
.I /etc/doorctl/doorctl.toml
the configuration of a branch; /usr/share/doorctl/doorctl.toml lists every key
.TP
.I /usr/share/doc/doorctl/systemd/README.md
how doorctl is installed
"""


def commands(command: click.Command, above: click.Context | None = None) -> Iterator[click.Context]:
    """Yield the context of a command and of each one below it."""
    context = click.Context(command, info_name=command.name if above else "doorctl", parent=above)
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                below.name = name
                yield from commands(below, context)


def roff(text: str) -> str:
    """Return plain text as troff takes it."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def manual(context: click.Context, version: str, day: str) -> str:
    """Return a command's man page."""
    command, path = context.command, context.command_path
    usage = " ".join(command.collect_usage_pieces(context))
    title = path.replace(" ", "-")
    lines = [
        f'.TH "{roff(title.upper())}" 1 {day} "doorctl {version}" "doorctl"',
        f".SH NAME\n{roff(title)} \\- {roff(command.get_short_help_str(200))}",
        f".SH SYNOPSIS\n.B {roff(path)}\n{roff(usage)}",
        ".SH DESCRIPTION",
    ]
    for paragraph in cleandoc(command.help or "").partition("\f")[0].split("\n\n"):
        kept = paragraph.startswith("\b\n")
        text = roff(paragraph.removeprefix("\b\n"))
        lines.append(f".nf\n{text}\n.fi" if kept else f"{text}\n.PP")
    records = [option.get_help_record(context) for option in command.get_params(context)]
    if any(records):
        lines.append(".SH OPTIONS")
    for term, text in filter(None, records):
        lines.append(f".TP\n.B {roff(term)}\n{roff(text)}")
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                summary = roff(below.get_short_help_str(200))
                lines.append(f".TP\n.BR {roff(f'{title}-{name}')} (1)\n{summary}")
    return "\n".join(lines) + FOOT


def licence(information: Message) -> str:
    """Return what a library says about its licence."""
    named = information["License-Expression"] or information["License"] or ""
    return LICENCES.get(information["Name"]) or named.partition("\n")[0] or "see its files"


def component(folder: Path, information: Message, digests: dict[str, str]) -> dict[str, object]:
    """Return a library as CycloneDX has it, with what is compiled into it."""
    name, version = information["Name"], information["Version"]
    purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
    inside: list[dict[str, object]] = []
    for listed in sorted(folder.glob("sboms/*.json")):
        for part in json.loads(listed.read_text(encoding="utf-8")).get("components", []):
            wanted = ("type", "name", "version", "purl", "licenses", "hashes")
            inside.append({key: part[key] for key in wanted if key in part})
    if name in INSIDE:
        inside.append({"type": "library", "name": INSIDE[name]})
    found = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "licenses": [{"license": {"name": licence(information)}}],
        "hashes": [{"alg": "SHA-256", "content": digests[folder.name.partition("-")[0].lower()]}],
    }
    return found | ({"components": inside} if inside else {})


def parts(site: Path, digests: dict[str, str], name: str, when: datetime) -> dict[str, object]:
    """Return the list of all libraries in the package, as a document of CycloneDX 1.6.

    Args:
        site: where the libraries are.
        digests: the SHA-256 of the file that each came in, by its folder's name.
        name: of the package, with version and architecture.
        when: the date in it.
    """
    found = []
    for folder in sorted(site.glob("*.dist-info"), key=lambda folder: folder.name.lower()):
        information = Parser().parsestr((folder / "METADATA").read_text(encoding="utf-8"))
        if information["Name"] != "doorctl":
            found.append(component(folder, information, digests))
    package, version, architecture = name.split("_")
    own = f"pkg:deb/{package}/{package}@{version}?arch={architecture}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name + when.isoformat())}",
        "version": 1,
        "metadata": {
            "timestamp": when.isoformat(),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": package,
                "version": version,
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": found,
        "dependencies": [{"ref": own, "dependsOn": [part["bom-ref"] for part in found]}],
    }


def write(path: Path, text: str) -> None:
    """Write a file, compressed where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)


def main(root: Path, home: str, package: tuple[str, str], wheels: Path, lock: Path) -> None:
    """Write all of it into the package's tree; a package is its version and its architecture."""
    version, architecture = package
    when = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    for context in commands(app):
        name = context.command_path.replace(" ", "-")
        page = manual(context, version, when.date().isoformat())
        write(root / f"usr/share/man/man1/{name}.1.gz", page)
    for shell, where in COMPLETIONS.items():
        completion = get_completion_class(shell)
        if completion is None:
            raise LookupError(shell)
        write(root / where, completion(app, {}, "doorctl", "_DOORCTL_COMPLETE").source())
    digests = {
        wheel.name.partition("-")[0].lower(): hashlib.sha256(wheel.read_bytes()).hexdigest()
        for wheel in wheels.glob("*.whl")
    }
    digests["lgpio"] = re.findall("sha256:([0-9a-f]{64})", lock.read_text(encoding="utf-8"))[0]
    (site,) = (root / home).glob("lib/python3.*/site-packages")
    listed = parts(site, digests, f"doorctl_{version}_{architecture}", when)
    doc = root / "usr/share/doc/doorctl"
    write(doc / "doorctl.cdx.json", json.dumps(listed, indent=1) + "\n")
    write(doc / "copyright", licences(listed, home))
    stamp = when.strftime("%a, %d %b %Y %H:%M:%S +0000")
    changes = (
        f"doorctl ({version}) trixie; urgency=medium\n\n  * See CHANGELOG.md beside this file.\n"
    )
    owner = "The doorctl project <doorctl@users.noreply.github.com>"
    write(doc / "changelog.gz", f"{changes}\n -- {owner}  {stamp}\n")


def licences(listed: dict[str, object], home: str) -> str:
    """Return the file that Debian wants of a package."""
    bundled = "\n".join(
        f"  {part['name']} {part['version']}: {part['licenses'][0]['license']['name']}"
        for part in listed["components"]  # type: ignore[attr-defined]
    )
    return f"""\
doorctl is in {home.rpartition("/")[0]}, from https://github.com/doorctl/doorctl

Copyright 2026 the authors of doorctl
License: Apache-2.0, whose text is in /usr/share/common-licenses/Apache-2.0

It brings the libraries that it was tested with. The text of each one's licence, with its authors,
is in the folder licenses or the file METADATA of /{home}/lib/python3.13/site-packages/*.dist-info:

{bundled}
"""


if __name__ == "__main__":
    _, first, second, third, fourth, fifth, sixth = sys.argv
    main(Path(first), second, (fourth, third), Path(fifth), Path(sixth))
