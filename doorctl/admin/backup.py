"""A backup is made, kept and sent.

It is one file that nothing here can open. All who have the public key can make one, so it is not
believed: what is not exactly as :func:`packed` writes it is refused.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

import doorctl
from doorctl.config import Config
from doorctl.config.tables import Backup
from doorctl.core.errors import (
    InputError,
    NotAnsweringError,
    StoreError,
)
from doorctl.core.identity import as_root, login, owner_of
from doorctl.core.language import further
from doorctl.lookup.app import App
from doorctl.lookup.key_days import placed
from doorctl.privacy.audit import Action, Deed
from doorctl.services.branch import note, note_done
from doorctl.store.branch_rows import FACTOR_KEY
from doorctl.store.connection import (
    changing,
    create_private,
    whole_copy,
)
from doorctl.store.keys import (
    read_key_file,
)
from doorctl.sync.document import BranchName

MANIFEST, CONFIG, BRANCH, BESIDE, UNITS = (
    "manifest.json",
    "doorctl.toml",
    "branch.db",
    "beside/",
    "units/",
)
"""Names in a backup; the last two begin those of files beside the configuration and of drop-ins."""

SYSTEMD = Path("/etc/systemd/system")

LONGEST_FILE_BYTES = 4 * 1024 * 1024
"""Of a key, a certificate or a catalogue."""

AGE_S, SEND_S, SILENCE_S = 300, 900, 60
"""Longest time to encrypt, to send, and to hear nothing of the other machine, seconds."""

TOLD_CHARACTERS = 200

SAY_NOTHING = ("age: report", "Connection closed")
"""Last lines of programs that have said why before them."""


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file in a backup: its digest, its mode, its owner's login, and when it was written.

    That is in seconds since 1970, by which a key's age is told; 0 where it is not known.
    """

    sha256: str
    mode: int
    owner: str
    written_s: Annotated[int, Meta(ge=0, lt=2**40)] = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself: version, the number of branch.db's layout, when, files."""

    format: Literal["doorctl-backup/1"] = "doorctl-backup/1"
    version: str
    branch: BranchName
    layout: int
    made: datetime
    files: dict[str, Part]


def make_backup(app: App) -> tuple[Path, list[Path]]:
    """Make a backup by [backup], send it, and put on the audit log that it is good.

    Returns its file, and the files that are not in it: they lie elsewhere than the configuration,
    or are missing. Raises InputError: no backups are configured. DoorctlError: it could not be
    made, and no older one was deleted; or not be sent, and is kept here.
    """
    wanted, branch = app.config.backup, app.config.branch.id
    if not wanted.recipients:
        raise InputError(
            "no backups are configured: make a key by `age-keygen` on another machine, and give "
            "its public half as backup.recipients"
        )
    # While the clock is not set this stands still, so that a name has a number too.
    made = app.clock.moment().known_time.astimezone(UTC).replace(microsecond=0)
    plain, left_out = _collected(app, made)
    whom = (word for recipient in wanted.recipients for word in ("-r", recipient))
    content = run("age", *whom, given=plain)
    path = _kept(wanted, branch, made, content)
    if wanted.destination:
        try:
            send_backup(wanted, path.name, content)
        except (NotAnsweringError, StoreError) as err:
            raise NotAnsweringError(f"{path} was not sent: {err}") from err
    note_done(app, Deed(Action.BACKUP_MADE, details={"recipients": len(wanted.recipients)}))
    return path, left_out


def unit_drop_ins(systemd: Path = SYSTEMD) -> list[Path]:
    """Return the drop-ins of doorctl's units, found as the owner of systemd's folder.

    One made by a umask of 027 is closed to the user that a command acts as.
    """
    with owner_of(systemd):
        return sorted(systemd.glob("doorctl-*.d/*.conf"))


def _collected(app: App, made: datetime) -> tuple[bytes, list[Path]]:
    config, written = app.config, app.config.origin.path.absolute()
    records = whole_copy(app.storage.branch_db)
    contents, parts = {BRANCH: records}, {BRANCH: Part(_digest(records), 0o640, "")}
    factors, base, left_out = app.storage.branch_db.with_name(FACTOR_KEY), written.parent, []
    places = {CONFIG: written} | ({FACTOR_KEY: factors} if factors.exists() else {})
    # What systemd hands over has its own place beside the configuration.
    named = {placed(config, path) for path in named_files(config)}
    beside = {*named, *further(config.web.catalogues), *base.glob("*.next")}
    for path in sorted(beside - {written}):
        is_beside = path.is_relative_to(base) and not is_among_databases(config, path)
        if is_beside and path.is_file():
            places[BESIDE + str(path.relative_to(base))] = path
        else:
            left_out.append(path)
    for path in unit_drop_ins():
        places[UNITS + str(path.relative_to(SYSTEMD))] = path
    for name, path in places.items():
        content = read_key_file(path, LONGEST_FILE_BYTES, made_by="doorctl init", private=False)
        with owner_of(path.parent):
            status = path.stat()
        contents[name] = content
        mode, owner = stat.S_IMODE(status.st_mode), login(status.st_uid)
        parts[name] = Part(_digest(content), mode, owner, max(0, int(status.st_mtime)))
    manifest = Manifest(
        version=doorctl.__version__,
        branch=config.branch.id,
        layout=layout_of(records),
        made=made,
        files=parts,
    )
    return packed(manifest, contents), left_out


def is_among_databases(config: Config, path: Path) -> bool:
    """Tell whether a file lies where the processes write, and so is none beside the configuration.

    Where the configuration itself stands in that directory, the databases' own files do.
    """
    storage = config.storage
    real = Path(os.path.realpath(path.parent)) / path.name
    base = Path(os.path.realpath(config.origin.path.absolute().parent))
    for database in (storage.patrons_db, storage.branch_db, storage.visits_db):
        directory = Path(os.path.realpath(database.parent))
        is_own = real.parent == directory and real.name.startswith(database.name)
        if real.is_relative_to(directory) and (is_own or not base.is_relative_to(directory)):
            return True
    return False


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def layout_of(records: bytes) -> int:
    """Return the number of a database's layout: the `user_version` in its header."""
    return int.from_bytes(records[60:64], "big")


def packed(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive, always the same: the manifest, then its files in their order."""
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
        for name in (MANIFEST, *manifest.files):
            content = msgspec.json.encode(manifest) if name == MANIFEST else files[name]
            header = tarfile.TarInfo(name)
            header.size, header.mode = len(content), 0o600
            archive.addfile(header, BytesIO(content))
    return out.getvalue()


def unpacked(archive: bytes) -> tuple[Manifest, dict[str, bytes]]:
    """Return what :func:`packed` made. Raises InputError: it is damaged, or something else."""
    try:
        with tarfile.open(fileobj=BytesIO(archive), mode="r:") as tar:
            ends = {each.name: (each.offset_data, each.size) for each in tar}
        files = {name: archive[at : at + size] for name, (at, size) in ends.items()}
        manifest = msgspec.json.decode(files.pop(MANIFEST), type=Manifest)
        listed = {name: part.sha256 for name, part in manifest.files.items()}
        # Packed once more it has to be the same bytes, so no trick of tar's is in it.
        good = listed == {name: _digest(content) for name, content in files.items()}
        good = good and packed(manifest, files) == archive
        if good and {CONFIG, BRANCH} <= files.keys() and all(map(_is_ours, files)):
            return manifest, files
    except (tarfile.TarError, msgspec.MsgspecError, ValueError, LookupError, RecursionError):
        pass
    ours = doorctl.__version__
    raise InputError(f"it is no backup of doorctl, or damaged, or of a newer one than {ours}")


def _is_ours(name: str) -> bool:
    kind, _, rest = name.partition("/")
    if not rest:
        return name in {CONFIG, BRANCH, FACTOR_KEY}
    parts = rest.split("/")
    return f"{kind}/" in {BESIDE, UNITS} and not {"", ".", ".."} & {*parts} and rest.isprintable()


def opened(file: Path, identity: bytes) -> bytes:
    """Decrypt a file by a private key of age. Raises InputError: it can't be; says why."""
    try:
        content = file.read_bytes()
    except OSError as err:
        raise InputError(f"{file} can't be read: {err.strerror}") from None
    try:
        with _in_memory(identity) as key:
            return run("age", "-d", "-i", f"/dev/fd/{key}", given=content, handed=(key,))
    except NotAnsweringError as err:
        raise InputError(f"{file} can't be opened: {err}") from None


def run(*words: str, given: bytes, handed: tuple[int, ...] = (), limit_s: float = AGE_S) -> bytes:
    """Run a program on what it is given, as who called us; return its output.

    Raises NotAnsweringError: it failed; says why in its own last words.
    """
    try:
        with as_root():
            done = subprocess.run(  # noqa: S603 - no shell, and all words are checked or our own
                words,
                check=False,
                input=given,
                capture_output=True,
                cwd="/",
                timeout=limit_s,
                pass_fds=handed,
            )
    except FileNotFoundError:
        raise NotAnsweringError(
            f"there is no {words[0]} here: apt install age openssh-client"
        ) from None
    except subprocess.TimeoutExpired:
        raise NotAnsweringError(f"{words[0]} took more than {limit_s:g} s") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reasons = [line for line in lines if not line.startswith(SAY_NOTHING)]
        last = reasons[-1] if reasons else "no reason given"
        reason = "".join(filter(str.isprintable, last))[:TOLD_CHARACTERS]
        raise NotAnsweringError(f"{reason} ({words[0]} ended with {done.returncode})")
    return done.stdout


@contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("doorctl")
    try:
        os.write(descriptor, content)
        yield descriptor
    finally:
        os.close(descriptor)


STAMP = "%Y%m%dT%H%M%SZ"
"""How a backup's name has its time, in UTC; `_002` follows on the second of one time."""


class _Named(NamedTuple):
    """What a backup's name says: its time, and its number among those of that time."""

    made: datetime
    number: int


def _kept(wanted: Backup, branch: str, made: datetime, content: bytes) -> Path:
    """Keep a backup under a new name, and delete what are more than wanted, the oldest first."""
    directory = wanted.directory
    path = directory / f"doorctl-{branch}-{made:{STAMP}}.age"
    with changing(path):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # By another owner maybe, now that it is there.
    with changing(path):
        there = _backups(directory, branch)
        if same := [named.number for named in there.values() if named.made == made]:
            path = path.with_stem(f"{path.stem}_{max(same) + 1:03}")
        create_private(path, content)
        for half in _backups(directory, branch, ".age.new"):
            half.unlink()
        # A wrong clock made those that are to come; the new one counts by no name.
        ahead = made + timedelta(days=1)
        older = sorted(there, key=lambda each: (there[each].made <= ahead, *there[each]))
        for surplus in older[: max(0, len(older) + 1 - wanted.keep)]:
            surplus.unlink()
    return path


def _backups(directory: Path, branch: str, end: str = ".age") -> dict[Path, _Named]:
    """Return a branch's backups in a directory, and what the name of each says."""
    name = rf"doorctl-{branch}-(\d{{8}}T\d{{6}}Z)(?:_(\d{{3,9}}))?{re.escape(end)}"
    found = {}
    for path in directory.iterdir():
        match = re.fullmatch(name, path.name, re.ASCII)
        with suppress(ValueError):
            if match:
                made = datetime.strptime(match[1], STAMP).replace(tzinfo=UTC)
                found[path] = _Named(made, int(match[2] or 1))
    return found


def send_backup(wanted: Backup, name: str, content: bytes, limit_s: float = SEND_S) -> None:
    """Send a backup to where it is to be kept, in `limit_s` in all.

    Raises NotAnsweringError: it does not take it; says why. KeyFileError: our own key or password.
    """
    address = urlsplit(wanted.destination)
    if address.scheme != "sftp":
        _put(wanted, name, content, limit_s)
        return
    options = ["-oStrictHostKeyChecking=yes", "-oConnectTimeout=20", "-oServerAliveInterval=20"]
    if wanted.ssh_key_file != Path():
        options += [f'-oIdentityFile="{wanted.ssh_key_file}"', "-oIdentitiesOnly=yes"]
    if wanted.known_hosts_file != Path():
        options.append(f'-oUserKnownHostsFile="{wanted.known_hosts_file}"')
    whom = f"{address.username}@{address.hostname}" if address.username else address.hostname
    where = f"{address.path}{name}"
    with _in_memory(content) as source:
        batch = f"put /dev/fd/{source} {where}.new\nrename {where}.new {where}\n".encode()
        words = ("sftp", "-b", "-", "-P", str(address.port or 22), *options, str(whom))
        run(*words, given=batch, handed=(source,), limit_s=limit_s)


def _put(wanted: Backup, name: str, content: bytes, limit_s: float) -> None:
    # What most branches don't use is not loaded.
    import ssl

    import httpx2

    from doorctl.core.asking import Talks, read_password, trusting, unreached, waits

    address = urlsplit(wanted.destination)
    account = None
    if address.username:
        account = (address.username, read_password(wanted.password_file).reveal())
    url = address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()
    trust = trusting(wanted.ca_file)

    async def putting() -> int:
        async with (
            httpx2.AsyncClient(
                verify=trust, trust_env=False, timeout=waits(limit_s, SILENCE_S), auth=account
            ) as client,
            client.stream("PUT", url + name, content=content) as answer,
        ):
            return answer.status_code

    try:
        status = Talks().within(limit_s, putting)
    except (TimeoutError, ssl.SSLError, httpx2.TransportError) as err:
        raise NotAnsweringError(unreached(err, "backup")) from err
    if not httpx2.codes.is_success(status):
        raise NotAnsweringError(f"it answers with HTTP status {status}")


def back_up(app: App, file: Path) -> list[Path]:
    """Copy ``branch.db`` to a new file, 0600 and durable; first noted on the audit log.

    Returns the files to keep beside it: what opens second factors, and what the configuration
    names. Raises AlreadyExistsError: there is a file already; it was not touched. StoreError:
    ``branch.db`` can't be read or noted in, or the copy can't be written.
    """
    content = whole_copy(app.storage.branch_db)
    note(app, Deed(Action.BACKUP_MADE))
    with changing(file):
        create_private(file, content)
    factors = app.storage.branch_db.with_name(FACTOR_KEY)
    return sorted({*named_files(app.config), *([factors] if factors.exists() else [])})


def named_files(part: object) -> Iterator[Path]:
    """Yield the files that a configuration, or a part of it, names."""
    for field in fields(part) if is_dataclass(part) else ():
        value = getattr(part, field.name)
        if field.name.endswith(("_file", "_files")):
            paths = (value,) if isinstance(value, Path) else value
            yield from (path for path in paths if path != Path())
        else:
            yield from named_files(value)
