"""A backup is put back whole or not at all, and nothing in it leaves its place."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorctl.admin.backup import BRANCH, CONFIG, Manifest, Part, layout_of, packed, unpacked
from doorctl.admin.installation import initialise
from doorctl.admin.restoring import put_back
from doorctl.config import load
from doorctl.core.errors import DoorctlError, InputError
from doorctl.store.connection import whole_copy
from doorctl.store.key_age import key_days
from tests.fakes.strikes import OVER, broken, full, struck
from tests.slices import WHOLE, every, least

CONFIGURATION = """
[branch]
name = "Prøve"
id = "proeve"
[storage]
directory = "../data"
[secrets]
installation_key_file = "the.key"
[seal]
memory_kib = 8
iterations = 1
[reader]
port = "/dev/null"
[gpio]
factory = "mock"
"""
MADE = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
Files = dict[str, bytes]


def manifest_of(files: Files, **other: Any) -> Manifest:
    """Return a manifest that fits the files."""
    parts = {name: Part(sha256(text).hexdigest(), 0o600, "root") for name, text in files.items()}
    told: dict[str, Any] = {"version": "1", "branch": "proeve", "layout": 1, "made": MADE}
    return Manifest(**(told | {"files": parts} | other))


def content(root: Path) -> Files:
    """Return all files below a directory, but locks."""
    found = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a branch."""
    root = tmp_path_factory.mktemp("branch")
    path = installed(root)
    key = (root / "etc" / "the.key").read_bytes()
    records = whole_copy(load(path).storage.branch_db)
    return {BRANCH: records, CONFIG: CONFIGURATION.encode(), "beside/the.key": key}


def installed(root: Path) -> Path:
    """Make a branch and return its configuration's file."""
    path = root / "etc" / "doorctl.toml"
    path.parent.mkdir(parents=True)
    path.write_text(CONFIGURATION, encoding="utf-8")
    initialise(load(path))
    return path


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return an archive of whatever members."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=form) as archive:
        for member, text in members:
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return out.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return a member's header as doorctl writes it, but for these."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, 0o600
    return member


def test_what_was_packed_is_unpacked(files: Files) -> None:
    """Whole, and the same bytes each time."""
    archive = packed(manifest_of(files), files)

    assert archive == packed(manifest_of(files), files)
    assert unpacked(archive) == (manifest_of(files), files)


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "../up", "beside/../../up", "beside//etc/passwd", "beside/", "units/.."),
        *("beside/./x", "beside/a\nb", "other/x", "visits.db", "branch.db/x", "beside/\\..\\x\x00"),
    ],
)
def test_a_name_that_leaves_its_place_is_refused(files: Files, name: str) -> None:
    """Though its digest is right."""
    forged = {**files, name: b"x"}
    with pytest.raises((InputError, ValueError)) as refused:
        unpacked(packed(manifest_of(forged), forged))

    assert isinstance(refused.value, InputError)


@pytest.mark.parametrize(
    "forge",
    [
        lambda good, _: [*good, (info("beside/x", tarfile.SYMTYPE, "/etc"), b"")],
        lambda good, _: [*good, (info("beside/x", tarfile.LNKTYPE, "/etc/passwd"), b"")],
        lambda good, _: [*good, (info("beside/x", tarfile.CHRTYPE), b"")],
        lambda good, _: [*good, (info("beside/x", tarfile.FIFOTYPE), b"")],
        lambda good, _: [*good, (info("beside", tarfile.DIRTYPE), b"")],
        lambda good, _: [*good, (info("beside/the.key"), bytes(32))],
        lambda good, _: [good[0], *good[:0:-1]],
        lambda good, _: good[1:],
        lambda good, _: good[:-1],
        lambda good, key: [*good[:-1], (info("beside/the.key", tarfile.SYMTYPE, "/etc"), key)],
    ],
    ids=["link", "hard", "device", "pipe", "folder", "twice", "order", "bare", "less", "swapped"],
)
def test_no_trick_of_an_archive_is_taken(
    files: Files, forge: Callable[[list[Any], bytes], list[Any]]
) -> None:
    """Links, devices, second members of a name, missing ones: anything that we do not write."""
    head = msgspec.json.encode(manifest_of(files))
    good = [(info("manifest.json"), head), *((info(name), files[name]) for name in files)]
    assert unpacked(tar(*good)) == (manifest_of(files), files)

    with pytest.raises(InputError):
        unpacked(tar(*forge(good, files["beside/the.key"])))


def test_other_kinds_of_archives_are_refused(files: Files) -> None:
    """PAX headers can rename a member, and a sparse one is larger than what holds it."""
    head = msgspec.json.encode(manifest_of(files))
    good = [(info("manifest.json"), head), *((info(name), files[name]) for name in files)]
    good[-1][0].pax_headers = {"GNU.sparse.size": "99999999999", "path": "beside/the.key"}
    with pytest.raises(InputError):
        unpacked(tar(*good, form=tarfile.PAX_FORMAT))
    for other in (b"", b"x" * 4096, bytes(10240)):
        with pytest.raises(InputError):
            unpacked(other)


@given(data=st.data())
def test_no_bit_of_a_file_can_be_changed(files: Files, data: st.DataObject) -> None:
    """Nor can the end be missing. What the manifest says of owners and modes age alone protects."""
    archive, cut = bytearray(packed(manifest_of(files), files)), data.draw(st.booleans())
    first = 0 if cut else archive.index(BRANCH.encode() + bytes(90))
    place = data.draw(st.integers(first, len(archive) - 1))
    archive[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InputError):
        unpacked(bytes(archive[:place] if cut else archive))


def test_a_link_beside_the_configuration_leads_nowhere_else(files: Files, tmp_path: Path) -> None:
    """A folder there may be a link; what would land behind it is refused."""
    etc, other = tmp_path / "etc", tmp_path / "other"
    etc.mkdir()
    other.mkdir()
    (etc / "tls").symlink_to(other)
    more = {**files, "beside/tls/web.key": b"key"}
    with pytest.raises(InputError, match="leads out of"):
        put_back(manifest_of(more), more, etc / "doorctl.toml", replace=True)

    assert content(tmp_path) == {}


BESIDE_DATA = CONFIGURATION.replace('"../data"', '"data"')
TWO_FOLDERS = BESIDE_DATA.replace("[storage]", '[storage]\ndoor_directory = "door"')
ONE_FOLDER = CONFIGURATION.replace('"../data"', '"."')


@pytest.mark.parametrize(
    ("names", "written", "says"),
    [
        (["beside/doorctl.toml"], CONFIGURATION, "lead to one place"),
        (["beside/doorctl.toml.restored"], CONFIGURATION, "lead to one place"),
        (["beside/the.key.restored.new"], CONFIGURATION, "lead to one place"),
        (["beside/doorctl.toml.replaced"], CONFIGURATION, "lead to one place"),
        (["units/a.d/b.conf", "beside/units/a.d/b.conf"], CONFIGURATION, "lead to one place"),
        (["beside/tls/web.pem", "beside/certs/web.pem"], CONFIGURATION, "lead to one place"),
        (["beside/a", "beside/a/b"], CONFIGURATION, "below beside/a"),
        (["beside/a/b", "beside/a"], CONFIGURATION, "below beside/a"),
        (["beside/data/branch.db"], BESIDE_DATA, "where the databases are"),
        (["beside/data/visits.db"], BESIDE_DATA, "where the databases are"),
        (["beside/data/anything"], BESIDE_DATA, "where the databases are"),
        (["beside/door/visits.db"], TWO_FOLDERS, "where the databases are"),
        (["beside/branch.db"], ONE_FOLDER, "where the databases are"),
        (["beside/visits.db"], ONE_FOLDER, "where the databases are"),
        (["beside/patrons.db-wal"], ONE_FOLDER, "where the databases are"),
        (["second_factor.key", "beside/second_factor.key"], ONE_FOLDER, "lead to one place"),
    ],
)
def test_each_name_has_a_place_of_its_own(
    files: Files, tmp_path: Path, names: list[str], written: str, says: str
) -> None:
    """And none is the databases'; it is refused before a file or a folder is made.

    Bug (second penetration test, S4): the second of two names with one place was put there
    unchecked, half of the backup too, and a forged `visits.db` came in beside the configuration.
    """
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "certs").mkdir()
    (etc / "tls").symlink_to(etc / "certs")
    more = {**files, CONFIG: written.encode(), **dict.fromkeys(names, b"x" * 4096)}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=says):
        put_back(manifest_of(more), more, etc / "doorctl.toml", replace=True)

    assert sorted(tmp_path.rglob("*")) == before


def test_all_may_stand_in_one_folder(files: Files, tmp_path: Path) -> None:
    """Keys and configuration beside the databases, where a branch has it so."""
    more = {**files, CONFIG: ONE_FOLDER.encode()}
    put_back(manifest_of(more), more, tmp_path / "etc" / "doorctl.toml", replace=False)

    there = {path.name for path in (tmp_path / "etc").iterdir()}
    assert there >= {"doorctl.toml", "the.key", "branch.db", "patrons.db", "visits.db"}


def test_a_folder_in_a_place_is_told(files: Files, tmp_path: Path) -> None:
    """Before anything is changed.

    Bug (found while S4 was mended): it ended in a traceback, with half of the backup in place.
    """
    folder = tmp_path / "data" / "branch.db"
    folder.mkdir(parents=True)
    path = tmp_path / "etc" / "doorctl.toml"
    with pytest.raises(InputError, match="is a folder here"):
        put_back(manifest_of(files), files, path, replace=True)

    assert sorted(tmp_path.rglob("*")) == [folder.parent, folder]


@pytest.mark.parametrize("lay", [os.mkfifo, lambda place: place.symlink_to("/dev/zero")])
def test_no_pipe_or_device_in_a_place_holds_it_up(
    files: Files, tmp_path: Path, lay: Callable[[Path], None]
) -> None:
    """Whoever owned the directory may have laid one there; it goes, once that is told."""
    (tmp_path / "data").mkdir()
    lay(tmp_path / "data" / "branch.db")
    path = tmp_path / "etc" / "doorctl.toml"
    with pytest.raises(InputError, match="--replace"):
        put_back(manifest_of(files), files, path, replace=False)
    put_back(manifest_of(files), files, path, replace=True)

    assert whole_copy(tmp_path / "data" / "branch.db")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda files: {BRANCH: layout(files[BRANCH], 99)}, "newer doorctl"),
        (lambda files: {BRANCH: files[BRANCH][:4096] + bytes(4096)}, "damaged"),
        (
            lambda files: {CONFIG: files[CONFIG].replace(b"proeve", b"other")},
            "it says that it is of branch proeve, and its configuration is of branch other",
        ),
        (lambda _: {CONFIG: b"[branch"}, "can't be used here"),
        (lambda _: {CONFIG: b"[branch]\nnme = 1\n"}, "can't be used here"),
        (lambda _: {"beside/the.key": b"short"}, "32 bytes"),
    ],
    ids=["newer", "damaged", "branch", "toml", "keys", "key"],
)
def test_what_does_not_fit_changes_nothing(
    files: Files, tmp_path: Path, change: Callable[[Files], Files], says: str
) -> None:
    """It is one sentence, and not a file is left."""
    wrong = {**files, **change(files)}
    with pytest.raises(DoorctlError, match=says) as refused:
        put_back(manifest_of(wrong), wrong, tmp_path / "etc" / "doorctl.toml", replace=False)

    assert "\n" not in str(refused.value)
    assert content(tmp_path) == {}


def layout(records: bytes, number: int) -> bytes:
    """Return a database of another layout's number."""
    changed = records[:60] + number.to_bytes(4, "big") + records[64:]
    assert layout_of(changed) == number
    return changed


# Each call that makes, renames or removes a file is struck, one a run, in a process apart.


MOST = 200
"""More changes than there are to strike."""


def putting_back(files: Files, root: Path, *, replace: bool = False) -> Callable[[], object]:
    """Return what puts these files back below a directory."""
    path = root / "etc" / "doorctl.toml"
    return partial(put_back, manifest_of(files), files, path, replace=replace)


@pytest.mark.parametrize("ends", [".restored", ".restored.new", ".replaced"])
def test_a_folder_at_a_name_on_the_way_is_renamed(files: Files, tmp_path: Path, ends: str) -> None:
    """It is not followed, nor deleted: what is in it is there under another name.

    Bug (read by a stranger): one that a captured process had made ended each `restore`.
    """
    folder = tmp_path / "data" / f"branch.db{ends}"
    (folder / "in it").mkdir(parents=True)

    put_back(manifest_of(files), files, tmp_path / "etc" / "doorctl.toml", replace=False)

    assert whole_copy(tmp_path / "data" / "branch.db")
    (renamed,) = tmp_path.glob("data/*.strange-*")
    assert [path.name for path in renamed.iterdir()] == ["in it"]
    assert renamed.name.startswith(folder.name)


@pytest.mark.sliced
def test_killed_at_any_step_it_is_nothing_or_all_and_goes_on(files: Files, tmp_path: Path) -> None:
    """Without its configuration nothing starts; with it all is there. The same call ends it."""
    for nth in every(3, range(1, MOST)):
        root = tmp_path / str(nth)
        root.mkdir()
        if struck(do := putting_back(files, root), nth, below=root) == OVER:
            break
        if (root / "etc" / "doorctl.toml").exists():
            assert (root / "etc" / "the.key").read_bytes() == files["beside/the.key"]
            there = {file.name for file in (root / "data").iterdir()}
            assert {"branch.db", "patrons.db", "visits.db"} <= there
        do()
        assert not [name for name in content(root) if name.endswith(".restored")]
    assert 12 < nth < MOST - 1


@pytest.mark.sliced
def test_a_full_disk_at_any_step_changes_nothing(files: Files, tmp_path: Path) -> None:
    """What was laid beside the places is taken away again."""
    refused = 0
    for nth in every(3, range(1, MOST)):
        root = tmp_path / str(nth)
        root.mkdir()
        if (said := struck(putting_back(files, root), nth, full, root)) == OVER:
            break
        if said != "done" and "it is done" not in said:
            refused += 1
            assert content(root) == {}, said
    assert 0 < refused < nth < MOST - 1
    assert refused > 5 or not WHOLE


@pytest.mark.sliced
def test_killed_over_a_living_branch_each_file_is_the_old_or_the_new(
    files: Files, tmp_path: Path
) -> None:
    """So that the door opens, of the same key, at every step."""
    config = CONFIGURATION.replace("Prøve", "Ny").encode()
    for nth in every(3, range(1, MOST)):
        root = tmp_path / str(nth)
        path = installed(root)
        (root / "etc" / "the.key").chmod(0o600)
        key = (root / "etc" / "the.key").read_bytes()
        new = {**files, "beside/the.key": key, CONFIG: config, "beside/web.pem": b"pem"}
        if struck(do := putting_back(new, root, replace=True), nth, below=root) == OVER:
            break
        assert path.read_bytes() in {CONFIGURATION.encode(), config}
        assert (root / "etc" / "the.key").read_bytes() == key
        whole_copy(root / "data" / "branch.db")
        do()
        assert path.read_bytes() == config
    assert 12 < nth < MOST - 1


def living(files: Files, root: Path) -> tuple[Files, Files]:
    """Make a branch, and return another state of it to be put back, and all its files."""
    installed(root)
    key = (root / "etc" / "the.key").read_bytes()
    (root / "etc" / "web.pem").write_bytes(b"old")
    config = CONFIGURATION.replace("Prøve", "Ny").encode()
    new = {**files, "beside/the.key": key, CONFIG: config, "beside/web.pem": b"pem"}
    return new | {"beside/tls/more.pem": b"more"}, content(root)


@pytest.mark.sliced
@pytest.mark.parametrize("is_living", [False, True])
def test_a_disk_that_fails_once_at_any_step_changes_nothing_or_all_is_done(
    files: Files, tmp_path: Path, *, is_living: bool
) -> None:
    """What has its name already gives it back.

    Bug (second penetration test, S4): from the first name on, half of a backup stayed in place.
    """
    refused = 0
    for nth in every(4, range(1, MOST)):
        root = tmp_path / str(nth)
        root.mkdir()
        new, before = living(files, root) if is_living else (files, {})
        said = struck(putting_back(new, root, replace=is_living), nth, broken, root)
        if said == OVER:
            break
        there = content(root)
        # A file that could not be removed is no part of the branch.
        left = {name for name in there if name.endswith((".restored", ".replaced"))}
        whole = {name: text for name, text in there.items() if name not in left}
        if said == "done" or "it is done" in said:
            assert whole["etc/doorctl.toml"] == new[CONFIG]
            assert {name.rpartition("/")[2] for name in new} <= {Path(n).name for n in whole}
            continue
        refused += 1
        assert whole == before, said
        assert not left
    assert least(20, 4) < refused < nth < MOST - 1


@pytest.mark.sliced
def test_a_disk_that_fails_for_ever_loses_nothing(files: Files, tmp_path: Path) -> None:
    """What can't be given back is there under a second name, which is told."""
    for nth in every(4, range(1, MOST)):
        root = tmp_path / str(nth)
        root.mkdir()
        new, before = living(files, root)
        do = putting_back(new, root, replace=True)
        if (said := struck(do, nth, broken, root, lasting=True)) == OVER:
            break
        there = content(root)
        if said == "done" or "it is done" in said:
            continue
        for name, text in before.items():
            if there.get(name) != text:
                assert there[f"{name}.replaced"] == text
                assert ".replaced" in said
    assert 20 < nth < MOST - 1


@pytest.mark.sliced
def test_what_was_checked_is_what_is_put_there(files: Files, tmp_path: Path) -> None:
    """Whoever may write in a folder changes what waits there, at any time: it is refused.

    Bug (second penetration test, S4): what had been checked was not looked at again.
    """
    refused = 0
    for nth in every(3, range(1, MOST)):
        root = tmp_path / str(nth)
        root.mkdir()

        def swap(_event: str, root: Path = root) -> None:
            staged = root / "data" / "branch.db.restored"
            if staged.exists():
                staged.unlink()
                staged.write_bytes(b"x" * len(files[BRANCH]))

        if (said := struck(putting_back(files, root), nth, swap, root)) == OVER:
            break
        if said == "done":
            assert whole_copy(root / "data" / "branch.db")
        else:
            refused += 1
            assert content(root) == {}, said
    assert least(3, 3) < refused < nth < MOST - 1


def test_a_key_is_as_old_as_it_was(files: Files, tmp_path: Path) -> None:
    """On the new card too, so that its alarm comes in time; an older backup does not say it.

    Bug (a second reader): after `restore` each key counted as made on that day.
    """
    made = manifest_of(files)
    key = msgspec.structs.replace(made.files["beside/the.key"], written_s=1_700_000_000)
    archive = packed(
        msgspec.structs.replace(made, files=made.files | {"beside/the.key": key}), files
    )
    assert b"written_s" not in packed(made, files)

    put_back(*unpacked(archive), tmp_path / "etc" / "doorctl.toml", replace=False)

    assert key_days(tmp_path / "etc" / "the.key").begins == datetime.fromtimestamp(1.7e9, UTC)
