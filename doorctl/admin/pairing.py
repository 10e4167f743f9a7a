"""Pairing: a branch and the library's server come to trust each other by a code of one hour.

Later a new certificate or signing key needs no code: its public half goes by any way.

Two files go between them, on a stick or over any network: the branch's request (its TLS
certificate, its terms, a fresh public key) and the server's answer (the installation key, the
public key of the signing key). A person carries the code from the branch's screen to the server.

Threat model. An attacker may read, keep, change, swap and replay both files. The code, 80 random
bits through Argon2id, authenticates both: without it neither can be read or made. The answer is
also sealed to the fresh key, whose secret half is deleted after its use: a code that is found later
opens no answer that was kept. An attacker who sees the code within its hour and also changes what
is carried can pose as either side: say it on the telephone, never send it beside the file. Root on
one of the machines has its keys anyway.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import ssl
import tomllib
from contextlib import closing, suppress
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Meta, Struct
from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox

from doorctl.access.patron import KEY_BYTES, key_parts
from doorctl.admin.certificate import DAYS_MADE, openssl
from doorctl.admin.keys import lay_over_all
from doorctl.admin.setup import edited
from doorctl.config import Config, load
from doorctl.config.tables import Age, Sync, read_address
from doorctl.core.errors import ConfigError, InputError, KeyFileError
from doorctl.core.identity import as_root, owner_of
from doorctl.core.masked import InstallationKey
from doorctl.lookup.app import App
from doorctl.lookup.key_days import placed
from doorctl.privacy.audit import KEY, Action, Deed
from doorctl.privacy.tables import CARD
from doorctl.services.branch import note
from doorctl.store import keys, sealer, signing_keys
from doorctl.store.connection import open_reader, translated
from doorctl.store.tables import person_tables, select
from doorctl.sync.document import BranchName

PartT = TypeVar("PartT")

LASTS: Final = timedelta(hours=1)
"""How long a code is taken, by each machine's clock."""

MOST_TRIES: Final = 5
"""Wrong codes for one request; then the branch begins anew."""

LARGEST_BYTES: Final = 64 * 1024
"""A request with a chain of certificates has some KiB."""

MOST_SIGNING: Final = 4
"""As many as the configuration may name."""

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: none of its letters is taken for another."""

CODE_LETTERS: Final = 16
SALT_BYTES: Final = 16
REQUEST: Final = b"doorctl-pairing-request/1\n"
ANSWER: Final = b"doorctl-pairing-answer/1\n"
ANSWERED: Final = 99
"""In place of a request's wrong codes."""

NO_CERTIFICATE: Final = (
    *(ValueError, x509.ExtensionNotFound, x509.DuplicateExtension),
    *(x509.UnsupportedGeneralNameType, x509.InvalidVersion),
)
"""What reading a certificate raises where it is none, or says nothing of whom it is for."""

Time = Annotated[datetime, Meta(tz=True)]
Key = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]


class Request(Struct, frozen=True, forbid_unknown_fields=True):
    """What a branch says of itself; `at` is by its clock, `certificates` are in PEM."""

    branch: BranchName
    at: Time
    url: Annotated[str, Meta(pattern=r"\Ahttps://[A-Za-z0-9.:_\[\]-]{1,253}:[0-9]{1,5}\Z")]
    certificates: Annotated[str, Meta(max_length=LARGEST_BYTES)]
    public_key: Key
    memory_kib: int
    iterations: int
    pin_length: int
    minimum_age: Age


class _Secrets(Struct, frozen=True):
    """What no error and no log prints."""

    __repr__ = object.__repr__


class PairingAnswer(_Secrets, frozen=True, forbid_unknown_fields=True):
    """What a branch is given: a file of installation keys, and the 32 bytes of a public key."""

    branch: BranchName
    installation_key: Annotated[
        bytes, Meta(min_length=KEY_BYTES, max_length=keys.MOST_KEYS * KEY_BYTES)
    ]
    signing_key: Key


class Pending(_Secrets, frozen=True):
    """What a branch keeps for itself until it is answered."""

    at: Time
    code_key: Key
    private_key: Key


def begin(config: Config, out: Path, now: datetime) -> str:
    """Write a request and return its code in groups of four; an earlier request ends.

    Raises InputError: this branch has no certificate, or one without a name. KeyFileError: a
    file can't be read or written.
    """
    if not config.web.tls.wanted:
        what = "give web.tls.certificate_file and key_file, as systemd/README.md says"
        raise InputError(f"this branch has no certificate: {what}")
    host, certificates = _certificates(config.web.tls.certificate_file)
    code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LETTERS))
    private_key, salt = PrivateKey.generate(), secrets.token_bytes(SALT_BYTES)
    url, seal, policy = f"https://{host}:{config.web.port}", config.seal, config.policy
    public, terms = bytes(private_key.public_key), (policy.pin_length, policy.minimum_age)
    costs = seal.memory_kib, seal.iterations
    request = Request(config.branch.id, now, url, certificates, public, *costs, *terms)
    said = msgspec.json.encode(request)
    _read_request(said)
    code_key = _stretched(code, salt)
    kept = Pending(now, code_key, bytes(private_key))
    keys.put(_pending(config), msgspec.json.encode(kept))
    keys.put(out, REQUEST + salt + _box(code_key, REQUEST).encrypt(said))
    return "-".join(code[at : at + 4] for at in range(0, CODE_LETTERS, 4))


def answer(
    config: Config, file: Path, typed: str, *, key: InstallationKey, out: Path, now: datetime
) -> Request:
    """Add the branch of a request to the sender's file, and write the answer to it.

    `key` is what all branches of that file have. Stopped at any point, the same can be done again.
    Raises InputError: the code is wrong, was used or is late, or the branch does not fit; nothing
    was changed. KeyFileError: a file can't be read or written.
    """
    if config.sync is None:
        raise InputError(f"{config.origin.path} has no [sync], so it is no sender's")
    code, content = _read_code(typed), _read_request_file(file)
    signing = signing_keys.read_signing_key(config.sync.signing_key_file).verify_key()
    ledger, name = config.sync.state_directory / "pairings.json", sha256(content).hexdigest()
    tried = _kept(ledger, _content(ledger) or b"{}", dict[str, int], "delete it if you know why")
    wrong = tried.get(name, 0)
    if wrong >= MOST_TRIES:
        why = "was answered already" if wrong == ANSWERED else "has had too many wrong codes"
        raise InputError(f"this request {why}; run `doorctl pair begin` on the branch again")
    # Counted first: to stop the command gives no further try.
    keys.put(ledger, msgspec.json.encode({**tried, name: wrong + 1}))
    body = content.removeprefix(REQUEST)
    code_key = _stretched(code, body[:SALT_BYTES].ljust(SALT_BYTES))
    try:
        opened = _box(code_key, REQUEST).decrypt(body[SALT_BYTES:])
    except (CryptoError, ValueError):
        left = f"{MOST_TRIES - wrong - 1} tries are left"
        raise InputError(f"the code does not fit this file, or it was changed; {left}") from None
    request = _read_request(opened)
    _refuse_late(request.at, now)
    _refuse_other_terms(config, request)
    given = PairingAnswer(request.branch, key.reveal(), signing.content)
    sealed = SealedBox(PublicKey(request.public_key)).encrypt(msgspec.json.encode(given))
    _add_target(config, request)
    keys.put(out, ANSWER + _box(code_key, ANSWER).encrypt(sealed))
    keys.put(ledger, msgspec.json.encode({**tried, name: ANSWERED}))
    return request


def _read_code(typed: str) -> str:
    code = re.sub(r"[\s-]", "", typed).upper().translate(str.maketrans("OIL", "011"))
    if len(code) != CODE_LETTERS or not set(code) <= set(ALPHABET):
        raise InputError(f"a code has {CODE_LETTERS} letters and digits; nothing was changed")
    return code


def _read_request_file(file: Path) -> bytes:
    content = keys.read_key_file(file, LARGEST_BYTES, made_by="doorctl pair begin", private=False)
    if not content.startswith(REQUEST):
        raise InputError(f"{file} is no request of `doorctl pair begin`; nothing was changed")
    return content


def finish(config: Config, file: Path, now: datetime, *, replaces: bool = False) -> bool:
    """Take the server's answer into use; return whether the installation key is another one now.

    Stopped at any point, the same can be done again. Raises InputError: it is no answer to this
    branch's last request or is late, or it would replace keys that are in use and
    `replaces` is not given; nothing was changed. KeyFileError: a file can't be read or written.
    """
    path, key_file = _pending(config), config.secrets.installation_key_file
    kept = keys.read_key_file(path, LARGEST_BYTES, made_by="doorctl pair begin", private=True)
    pending = _kept(path, kept, Pending, "run `doorctl pair begin` again")
    given = _given(config, file, pending)
    _refuse_late(pending.at, now)
    key = InstallationKey(given.installation_key)
    with owner_of(key_file.parent):
        had_one = key_file.exists()
    is_new = not had_one or keys.read_key(key_file) != key
    if is_new and had_one:
        _refuse_to_lose(config, replaces=replaces)
    trusted = _trusted(config, given.signing_key, replaces=replaces)
    if is_new:
        # First: a command that is stopped is on the log twice rather than never.
        if config.storage.branch_db.exists():
            note(App.of(config), Deed(Action.KEY_ADOPTED, details={KEY: sealer.key_id(key)}))
        keys.put(key_file, key.reveal())
    if sealer.earlier_keys(key):
        lay_over_all(config, key)
    if trusted is not None:
        keys.put(trusted, signing_keys.written(signing_keys.PUBLIC, given.signing_key), 0o644)
        if trusted not in config.web.push.public_key_files:
            _name_keys(config, trusted)
    keys.remove_key(path)
    return is_new


def _given(config: Config, file: Path, pending: Pending) -> PairingAnswer:
    content = keys.read_key_file(file, LARGEST_BYTES, made_by="doorctl sync pair", private=False)
    try:
        sealed = _box(pending.code_key, ANSWER).decrypt(content.removeprefix(ANSWER))
        opened = SealedBox(PrivateKey(pending.private_key)).decrypt(sealed)
        given = msgspec.json.decode(opened, type=PairingAnswer)
    except (CryptoError, ValueError):
        given = None
    if given is None or given.branch != config.branch.id or not content.startswith(ANSWER):
        what = "is no answer to the last `doorctl pair begin` here, or was changed"
        raise InputError(f"{file} {what}; nothing was changed")
    parts = key_parts(given.installation_key)
    are_keys = len(parts[-1]) == KEY_BYTES and bytes(KEY_BYTES) not in parts
    if not are_keys or not crypto_core_ed25519_is_valid_point(given.signing_key):
        what = "holds what is no key; see the server's, and run `doorctl sync pair` again"
        raise InputError(f"{file} {what}; nothing was changed")
    return given


def _read_request(opened: bytes) -> Request:
    """Return a decrypted request, checked against what a branch can say of itself.

    A branch may be in a thief's hands: nothing that it says may harm the others.
    """
    try:
        request = msgspec.json.decode(opened, type=Request)
        wrong = _wrong_in(request)
    except (msgspec.DecodeError, ValueError) as err:
        found = re.search(r"`\$\.(\w+)", str(err))
        request, wrong = None, found[1] if found else "what it is"
    if request is None or wrong:
        why = f"says of the branch what can't be ({wrong}); update doorctl there and begin again"
        raise InputError(f"the request {why}; nothing was changed")
    return request


def _wrong_in(request: Request) -> str:
    """Return the name of what no branch can have, "" for none."""
    text = request.certificates
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
        hosts = _hosts(chain[0])
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (*NO_CERTIFICATE, ssl.SSLError):
        return "certificates"
    if text != b"".join(map(_pem, chain)).decode():
        return "certificates"
    address, host = read_address(request.url), request.url.removeprefix("https://")
    if address is None or not address.port or host.rpartition(":")[0] not in hosts:
        return "url"
    try:
        SealedBox(PublicKey(request.public_key)).encrypt(b"")
    except (CryptoError, RuntimeError):
        return "public_key"
    return ""


def _kept(path: Path, content: bytes, kind: type[PartT], what: str) -> PartT:
    """Read what this machine keeps for itself. Raises KeyFileError: it is damaged."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError):
        raise KeyFileError(f"{path} is damaged; {what}") from None


def _pending(config: Config) -> Path:
    return config.secrets.installation_key_file.with_name("pairing.secret")


def _refuse_late(at: datetime, now: datetime) -> None:
    if not -LASTS < now - at < LASTS:
        times = (
            f"{at:%Y-%m-%d %H:%M} UTC by the branch's clock, and it is {now:%Y-%m-%d %H:%M} here"
        )
        again = "it lasts an hour: see both clocks, or run `doorctl pair begin` again"
        raise InputError(f"the code is of {times}; {again}")


def _refuse_other_terms(config: Config, request: Request) -> None:
    seal = config.seal
    for name, here, there in (
        ("seal.memory_kib", seal.memory_kib, request.memory_kib),
        ("seal.iterations", seal.iterations, request.iterations),
        ("policy.pin_length", config.policy.pin_length, request.pin_length),
    ):
        if here != there:
            raise InputError(f"{name} is {here} here and {there} on the branch; make them the same")


def _refuse_to_lose(config: Config, *, replaces: bool) -> None:
    """Refuse another key where bans or passes hang on this one, or a register that is to stay."""
    key = config.secrets.installation_key_file
    records, register = config.storage.branch_db, config.storage.patrons_db
    if records.exists() and _holds(records):
        raise InputError(
            f"bans or passes here are known by {key} alone: give the server this key, as "
            "systemd/README.md says; nothing was changed"
        )
    # What `init` has made is empty; where it is missing, the key's use is unknown.
    is_unused = register.exists() and not _holds(register, "cache WHERE epoch > 0")
    if not is_unused and not replaces:
        raise InputError(
            f"{key} is another key than the server's. With --replace the server's takes its place, "
            "and patrons wait for the first push; nothing was changed"
        )


def _holds(path: Path, *more: str) -> bool:
    """Tell whether a database has a row of any card, or one of `more`."""
    tables = (table for table in person_tables(path.name) if CARD in table.names)
    found = (*more, *(f"{table.name} WHERE {CARD} IS NOT NULL" for table in tables))
    with translated(path), closing(open_reader(path)) as database:
        return any(database.execute(select("1", rows)).fetchone() for rows in found)


def _trusted(config: Config, key: bytes, *, replaces: bool) -> Path | None:
    """Return the file that a signing key goes to; None where one holds it already."""
    named = config.web.push.public_key_files
    there = [path for path in named if path.exists()]
    if any(signing_keys.read(signing_keys.PUBLIC, path) == key for path in there):
        return None
    if there and not replaces:
        why = "is another server's key. With --replace this one's takes its place"
        raise InputError(f"{there[0]} {why}; nothing was changed")
    own = config.secrets.installation_key_file.with_name("signing.pub")
    return [*named, own][0]


def _name_keys(config: Config, *files: Path) -> None:
    path, named = config.origin.path.resolve(), [str(file) for file in files]
    text = edited(_content(path).decode("utf-8-sig"), "web.push.public_key_files", named)
    _loaded(config, text)
    keys.put(path, text.encode(), keep=True)


def renew_certificate(config: Config) -> Path:
    """Make the next certificate of the pages, by the key in use; return its file.

    Where an authority has signed the one in use it is a request, for that authority. Raises
    InputError: there is none that names this branch, or OpenSSL fails. KeyFileError: a file can't
    be read or written.
    """
    tls = config.web.tls
    file, key_file = placed(config, tls.certificate_file), placed(config, tls.key_file)
    old = _chain(file)[0]
    # Two of one number and issuer are refused by browsers.
    number = str(x509.random_serial_number())
    path, how = file.with_stem(f"{file.stem}-next"), ["-days", DAYS_MADE, "-set_serial", number]
    if old.subject != old.issuer:
        path, how = file.with_suffix(".csr"), ["-x509toreq", "-copy_extensions", "copyall"]
    with as_root():
        made = openssl("x509", "-in", str(file), "-signkey", str(key_file), *how)
    keys.put(path, made, 0o644)
    return path


def adopt_public(config: Config, file: Path, *, only: bool) -> str | None:
    """Take a public key or a certificate in PEM into use; say what was done, None for other files.

    One replaces another at one stroke: killed at any point, the earlier or the new one is in use.
    Raises InputError: it does not fit here; nothing was changed. KeyFileError: a file can't be read
    or written.
    """
    made_by = "doorctl keys rotate"
    content = keys.read_key_file(file, LARGEST_BYTES, made_by=made_by, private=False)
    if b"BEGIN PUBLIC KEY" in content:
        return _believe(config, file, only=only)
    if b"BEGIN CERTIFICATE" not in content:
        return None
    return _serve(config, file, content) if config.sync is None else _pin(config.sync, file)


def _believe(config: Config, file: Path, *, only: bool) -> str:
    """Take pushes of one key more, or of that one `only`."""
    (key,), named = signing_keys.read_public_keys([file]), config.web.push.public_key_files
    own = [
        path
        for path in named
        if _content(path) and signing_keys.read(signing_keys.PUBLIC, path) == key.content
    ]
    if only and not own:
        raise InputError(f"pushes of {file} are not taken yet: first without --only")
    if len(named) >= MOST_SIGNING and not own:
        raise InputError(f"pushes of {len(named)} keys are taken already: first --only one of them")
    if not own:
        name = f"signing-{key.content.hex()[:8]}.pub"
        own = [config.secrets.installation_key_file.with_name(name)]
        keys.put(own[0], signing_keys.written(signing_keys.PUBLIC, key.content), 0o644)
    _name_keys(config, *dict.fromkeys(own if only else [*named, *own]))
    return "pushes of this key alone are taken" if only else "pushes of this key are taken too"


def _serve(config: Config, file: Path, content: bytes) -> str:
    """Have the pages served by a certificate, of the key in use and for the same names."""
    path = placed(config, config.web.tls.certificate_file)
    new, old = _chain(file)[0], _chain(path)[0]
    kind = x509.SubjectAlternativeName
    names = [{*each.extensions.get_extension_for_class(kind).value} for each in (new, old)]
    if new.public_key() != old.public_key() or not names[0] >= names[1]:
        raise InputError(f"{file} is of another key than {path}, or lacks one of its names")
    if new.not_valid_after_utc < old.not_valid_after_utc:
        raise InputError(f"{file} ends before {path}; nothing was changed")
    keys.put(path, content, 0o644)
    return "the new certificate is in use"


def _pin(sync: Sync, file: Path) -> str:
    """Trust a branch's next certificate beside the one that it has, which is of the same key."""
    new = _chain(file)[0]
    for target in sync.targets:
        pinned: list[x509.Certificate] = []
        # An authority's certificate names no machine, and what it signs needs no pin.
        with suppress(InputError, KeyFileError):
            pinned = _chain(target.ca_file)
        if new.public_key() in [each.public_key() for each in pinned]:
            every = dict.fromkeys([*pinned, new])
            keys.put(target.ca_file, b"".join(map(_pem, every)), 0o644)
            return f"{target.branch} is believed by its next certificate too"
    raise InputError(f"{file} is of no branch that is trusted by a certificate of its own")


def _add_target(config: Config, request: Request) -> None:
    """Write a branch's certificate and, at the end of the sender's file, its table."""
    path, name = config.origin.path.resolve(), request.branch
    own = path.with_name(f"branch-{name}.pem")
    table: dict[str, object] = {"branch": name, "url": request.url, "ca_file": str(own)}
    if request.minimum_age != config.policy.minimum_age:
        table["minimum_age"] = request.minimum_age
    before = _content(path).decode("utf-8-sig")
    there = tomllib.loads(before).get("sync", {}).get("targets", [])
    if table in there and _content(own) == request.certificates.encode():
        return
    if any(known["branch"] == name for known in there):
        again = "take it out to pair that branch anew"
        raise InputError(f"{path} has a table of {name} already; {again}; nothing was changed")
    lines = [f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in table.items()]
    text = f"{before.rstrip()}\n\n[[sync.targets]]\n{''.join(lines)}"
    loaded, old = _loaded(config, text).sync, config.sync
    if loaded is None or old is None or loaded.targets[:-1] != old.targets:
        raise InputError(f"{path} {NOT_ADDED_TO}")
    keys.put(own, request.certificates.encode(), 0o644)
    keys.put(path, text.encode(), keep=True)


NOT_ADDED_TO = "is written in a way that nothing can be added to; see the example in config/"


def _loaded(config: Config, text: str) -> Config:
    """Return what a configuration's file will be read as; InputError where it can't be."""
    origin = config.origin
    try:
        return load(origin.path, origin.overrides, os.environ, written=text.encode())
    except ConfigError as err:
        where, what = origin.path.resolve(), f"{NOT_ADDED_TO} ({err.problems[0]})"
        raise InputError(f"{where} {what}; nothing was changed") from None


def _certificates(path: Path) -> tuple[str, str]:
    """Return whom a certificate is for, and it and those above it, without any private key."""
    chain = _chain(path)
    hosts = _hosts(chain[0])
    if not hosts:
        raise InputError(f"{path} names neither a host nor an address of this branch")
    return hosts[0], b"".join(map(_pem, chain)).decode()


def _hosts(certificate: x509.Certificate) -> list[str]:
    """Return whom a certificate is for, as an address of the web has them."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = [name for name in names.get_values_for_type(x509.DNSName) if "*" not in name]
    addresses = names.get_values_for_type(x509.IPAddress)
    return hosts + [
        f"[{each}]" if isinstance(each, IPv6Address) else str(each) for each in addresses
    ]


def _chain(path: Path) -> list[x509.Certificate]:
    """Return a file's certificates; the first names a machine."""
    pem = keys.read_key_file(path, LARGEST_BYTES, made_by="openssl", private=False)
    try:
        chain = x509.load_pem_x509_certificates(pem)
        chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except NO_CERTIFICATE:
        raise InputError(f"{path} holds no certificate in PEM that names this branch") from None
    return chain


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _stretched(code: str, salt: bytes) -> bytes:
    costs = sealer.ITERATIONS, sealer.MEMORY_KIB, 1
    return hash_secret_raw(code.encode(), salt, *costs, SecretBox.KEY_SIZE, Type.ID)


def _box(code_key: bytes, purpose: bytes) -> SecretBox:
    """Return the box of one direction: no file passes for one of the other."""
    return SecretBox(hmac.digest(code_key, purpose, "sha256"))


def _content(path: Path) -> bytes:
    with owner_of(path.parent):
        return path.read_bytes() if path.exists() else b""
