"""The user of a command on this machine: root's commands touch a directory as its owner.

The owner may put a link to any file there, so root does nothing there that the owner could not do.
Only the effective user changes: the owner can neither stop nor trace the command.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from doorctl.core.errors import StoreError

ROOT = 0
SHARED = 0o750


def caller() -> str:
    """Return the login name of the calling user, through sudo too; it is logged with the action."""
    through_sudo = os.environ.get("SUDO_USER", "") if os.getuid() == ROOT else ""
    return through_sudo or login(os.getuid())


def login(uid: int) -> str:
    """Return a user's login name, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def shared_in(directory: Path) -> int:
    """Return the part of mode 0660 that a new file in a directory gets: 0600, or all of it.

    The group gets a part where its group may read it and others not even look. Raises OSError.
    """
    mode = stat.S_IMODE(directory.stat().st_mode)
    return 0o660 if mode & stat.S_IRGRP and not mode & stat.S_IRWXO else 0o600


def unshared(webs: Path, doors: Path) -> Iterator[str]:
    """Yield each problem that keeps web and door, two users, from having a directory each.

    A directory of `webs` that is not there yet is none; nothing is yielded where both are the same.
    """
    both = (webs, doors) if webs != doors else ()
    # A directory that this caller may not look at is skipped.
    there = {path: path.stat() for path in both if os.path.exists(path)}  # noqa: PTH110 - see above
    for path, status in there.items():
        if (mode := stat.S_IMODE(status.st_mode)) & 0o777 != SHARED:
            yield f"{path} is of mode {mode:04o}; its group must read it, others not: chmod 0750"
    if both and there.keys() == {*both}:
        web, door = there.values()
        if web.st_uid == door.st_uid or ROOT in (web.st_uid, door.st_uid):
            who = f"{webs} is {login(web.st_uid)}'s and {doors} is {login(door.st_uid)}'s"
            yield f"{who}; give each its process's own user: chown -R, as in systemd/README.md"
        if web.st_gid != door.st_gid:
            yield f"{webs} and {doors} are of two groups; give both the one that their users share"


def become_owner(directory: Path) -> None:
    """Where root calls, continue as the owner, with its groups, of the nearest existing directory.

    For any other caller nothing changes. StoreError: this root may not.
    """
    if os.getuid() == ROOT:
        _become(*_owner(directory))


@contextmanager
def owner_of(directory: Path) -> Iterator[None]:
    """Work outside our own directory as its owner, while no other thread touches files."""
    before = os.geteuid(), os.getegid(), os.getgroups()
    become_owner(directory)
    try:
        yield
    finally:
        if os.geteuid() != before[0]:
            _change(*before)


@contextmanager
def as_root() -> Iterator[None]:
    """Where root calls, act as root again, as `owner_of` does, for work that involves no path."""
    before = os.geteuid()
    if os.getuid() == ROOT:
        os.seteuid(ROOT)
    try:
        yield
    finally:
        os.seteuid(before)


def _owner(directory: Path) -> tuple[int, int]:
    # By the whole path: a caller may not be allowed to look into the folder that it stands in.
    whole = directory.absolute()
    there = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
    # A user who can put a link in its place decides what it leads to.
    status = there.lstat()
    if status.st_uid == ROOT:
        status = there.stat()
    return status.st_uid, status.st_gid


def _become(uid: int, gid: int) -> None:
    if uid == os.geteuid():
        return
    try:
        if uid == ROOT:
            os.seteuid(ROOT)
            return
        try:
            user = pwd.getpwuid(uid)
            _change(uid, user.pw_gid, os.getgrouplist(user.pw_name, user.pw_gid))
        except KeyError:
            _change(uid, gid, [gid])
    except OSError as err:
        why = f"this root may not become the user {uid}, the directory's owner: {err.strerror}"
        raise StoreError(why) from err


def _change(uid: int, gid: int, groups: list[int]) -> None:
    os.seteuid(ROOT)
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
