"""Privileges: give up root once it is not needed, and ask for files enough.

Place     cli; `verdant balancer`, between opening its listeners and reading its rules.
Promise   after `become` nothing of root is left to this process or its children: no group, no
          saved id. What it must write later belongs to the user by then.
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import resource
from pathlib import Path

from verdant.errors import ConfigurationError, VerdantError

__all__ = ["become", "raise_file_limit"]

# Mantrid's figure: ten thousand clients, their backends, and room.
FILES_MAX = 102_400

# prctl(2).
_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 1, 2


def raise_file_limit() -> None:
    """Have the soft limit of open files at what a balancer needs, or at what is allowed."""
    # A connection is a descriptor, a proxied one two: the usual soft limit of 1024 is 500 clients.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def become(user: str, group: str | None, state_dir: str) -> None:
    """Be `user` (a name or a number) from now on, with `group` or their own.

    `state_dir` is made theirs before. Raises `ConfigurationError`.
    """
    name, uid, gid = _identity(user, group)
    if os.getuid() == uid and os.geteuid() == uid:
        return
    if os.geteuid() != 0:
        raise ConfigurationError(
            f"balancer.user: only root can become {user!r}; start as root, or leave `user` out"
        )
    _give_directory(Path(state_dir), uid, gid)
    libc = ctypes.CDLL(None)
    death_signal = ctypes.c_int()
    libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(death_signal))
    # In this order: without root neither groups nor gid can be changed.
    os.setgroups(os.getgrouplist(name, gid) if name else [gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if death_signal.value:
        # The kernel forgets it when the credentials change.
        libc.prctl(_PR_SET_PDEATHSIG, death_signal.value)


def _identity(user: str, group: str | None) -> tuple[str, int, int]:
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        name, uid, gid = entry.pw_name, entry.pw_uid, entry.pw_gid
    except KeyError as exc:
        if not user.isdecimal():
            raise ConfigurationError(f"balancer.user: there is no user {user!r} here") from exc
        name, uid, gid = "", int(user), int(user)
    if group is not None:
        try:
            gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
        except KeyError as exc:
            raise ConfigurationError(f"balancer.group: there is no group {group!r} here") from exc
    return name, uid, gid


def _give_directory(directory: Path, uid: int, gid: int) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path in (directory, *directory.iterdir()):
            # Only what root made, and never through a link that somebody else put there.
            if path.lstat().st_uid == 0:
                os.chown(path, uid, gid, follow_symlinks=False)
    except OSError as exc:
        raise VerdantError(f"{directory} cannot be given to user {uid}: {exc.strerror}") from exc
