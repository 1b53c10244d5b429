"""Mantrid: its configuration file and its state, read as they are.

Place     balancer; `verdant balancer --mantrid-conf` uses it.
Promise   what Mantrid 1.0.3 took is taken, with its defaults; what is wrong is named with its
          line. Mantrid's own files are read and never written, so that one can go back.
Not here  its REST interface (management.py), its command line (cli/rules.py), giving up root
          (cli/privileges.py).

    # /etc/mantrid/mantrid.conf                 a comment may follow a value, too
    bind = *:80                                 may be repeated, as may the other two
    bind_management = 127.0.0.1:8042
    state_file = /var/lib/mantrid/state.json    read once, into the directory `verdant` beside it

Ours would not fit into Mantrid's file: it was written over in place every ten seconds, and a crash
in between left half a table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from verdant.address import BadAddress, parse_address
from verdant.balancer.config import BalancerConfig
from verdant.balancer.errors import BadRule, StateDamaged
from verdant.balancer.rules import parse_rules
from verdant.balancer.state import State
from verdant.errors import ConfigurationError

__all__ = ["MantridConf", "import_state", "read_conf"]

# Mantrid's default for the user and the group that it becomes.
ID_DEFAULT = 4321
# What the kernel takes for a user; the number above means "leave as it is".
ID_MAX = 2**32 - 2
# Of a state file: a million hosts take some 100 MB.
STATE_BYTES_MAX = 1024 * 1024 * 1024

_BINDS = ("bind", "bind_internal", "bind_management")
_NAMES = (*_BINDS, "state_file", "static_dir", "uid", "gid")


@dataclass(frozen=True, slots=True)
class MantridConf:
    """What a mantrid.conf says. `uid`, `gid`: who to become once every address is bound."""

    bind: tuple[str, ...] = ("*:80",)
    bind_internal: tuple[str, ...] = ()
    # Mantrid's has [::1] too, which many machines lack.
    bind_management: tuple[str, ...] = ("127.0.0.1:8042",)
    state_file: str = "/var/lib/mantrid/state.json"
    static_dir: str = "/etc/mantrid/static/"
    uid: int = ID_DEFAULT
    gid: int = ID_DEFAULT

    @property
    def state_dir(self) -> str:
        """Where our state is: beside Mantrid's, so that its directory's owner and disk serve."""
        return str(Path(self.state_file).parent / "verdant")

    def to_config(self, where: str, *, as_root: bool) -> BalancerConfig:
        """The same as our own settings.

        where: for the text of `ConfigurationError`. as_root: whether there is root to give up;
        Mantrid went on as it was otherwise, with a line in its log.
        """
        static_dir = self.static_dir if Path(self.static_dir).is_dir() else None
        try:
            return BalancerConfig(
                bind=list(self.bind),
                bind_internal=list(self.bind_internal),
                management=self.bind_management[0],
                bind_management=list(self.bind_management[1:]),
                state_dir=self.state_dir,
                static_dir=static_dir,
                user=str(self.uid) if as_root and self.uid else None,
                group=str(self.gid) if as_root and self.uid and self.gid else None,
            )
        except ValueError as exc:
            raise ConfigurationError(f"{where}: {exc}") from exc


@dataclass(slots=True)
class _Found:
    """Values by name, with their line numbers."""

    where: str
    values: dict[str, list[tuple[str, int]]] = field(default_factory=dict)

    def fail(self, number: int, why: str) -> ConfigurationError:
        return ConfigurationError(f"{self.where}:{number}: {why}")

    def addresses(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for text, number in self.values.get(name, []):
            try:
                parse_address(text)
            except BadAddress as exc:
                raise self.fail(number, f"{name}: {exc}") from exc
            found[text] = None
        return tuple(found) or default

    def one(self, name: str, default: str) -> tuple[str, int]:
        found = self.values.get(name, [(default, 0)])
        for text, number in found[1:]:
            if text != found[0][0]:
                raise self.fail(number, f"{name} was {found[0][0]!r} already; keep one of them")
        return found[0]

    def identity(self, name: str) -> int:
        text, number = self.one(name, str(ID_DEFAULT))
        if not (text.isascii() and text.isdigit()) or int(text[:20]) > ID_MAX:
            raise self.fail(number, f"{name} is a number, such as {ID_DEFAULT}; not {text!r}")
        return int(text)


def read_conf(text: str, where: str) -> MantridConf:
    """What the mantrid.conf with this `text` says. Raises `ConfigurationError`. Does not park.

    where: the file's name, for errors.
    """
    found = _Found(where)
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip().lower(), value.strip()
        if not equals or not value:
            raise found.fail(number, f"{line!r} is not `name = value`")
        # Mantrid passed over names that it did not know; most were somebody's mistake.
        if name not in _NAMES:
            raise found.fail(number, f"{name} is no setting of Mantrid's: {', '.join(_NAMES)}")
        found.values.setdefault(name, []).append((value, number))
    standard = MantridConf()
    return MantridConf(
        bind=found.addresses("bind", standard.bind),
        bind_internal=found.addresses("bind_internal", standard.bind_internal),
        bind_management=found.addresses("bind_management", standard.bind_management),
        state_file=found.one("state_file", standard.state_file)[0],
        static_dir=found.one("static_dir", standard.static_dir)[0],
        uid=found.identity("uid"),
        gid=found.identity("gid"),
    )


def import_state(state_file: str, state_dir: str) -> int:
    """Take Mantrid's rules over if `state_dir` has none of its own yet. Blocks.

    Returns how many were taken. An absent or empty file has none, as for Mantrid. Raises
    `StateDamaged` naming the file, and what `State` raises.
    """
    with State(state_dir) as state:
        if state.version or state.rules:
            return 0
        try:
            with open(state_file, "rb") as file:
                text = file.read(STATE_BYTES_MAX)
        except FileNotFoundError:
            return 0
        except OSError as exc:
            raise ConfigurationError(f"{state_file} cannot be read: {exc.strerror}") from exc
        if len(text) <= 1:
            return 0
        try:
            document = msgspec.json.decode(text)
            rules = parse_rules(document.get("hosts") if isinstance(document, dict) else document)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadRule) as exc:
            raise StateDamaged(
                f"{state_file} is not a state of Mantrid's: {exc}. Correct it, or move it away to "
                "begin without rules"
            ) from exc
        state.replace_all(rules)
        return len(rules)
