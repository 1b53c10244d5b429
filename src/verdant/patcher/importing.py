"""Importing: a private copy of a module whose imports are satisfied by green twins.

Place     patcher; for programs that do not patch the process, and for `verdant.eventlet`.
Promise   `sys.modules`, and every module in it, stay as they are: the copies know each other, and
          nobody else knows them. What a copied module imports late, inside a function, is green
          too. Asked twice, the same copy is given.
Not here  greening the whole process (installer.py).

    import_green("urllib.request")
        │ compiled code of the module, run in a fresh one, whose own __import__ asks:
        ├─ a green twin?  socket, ssl, select, time, …                       twins.py
        ├─ does it lead to one?  http.client, a library that uses it, …      a copy, the same way
        └─ anything else: urllib.parse, email, json, C extensions, …         the process's own

Only what leads to a twin is copied, so an exception class or a data type that needs no socket is
the same class on both sides. Rejected: putting twins into `sys.modules` for the time of an import
(Eventlet's way). Another native thread that imports meanwhile gets them too, modules that are
imported for the first time stay green for everybody, and late imports escape.
"""

from __future__ import annotations

import builtins
import sys
from importlib import import_module
from importlib.util import module_from_spec, resolve_name
from typing import TYPE_CHECKING, Any, cast

from verdant.green.queue import SimpleQueue
from verdant.green.thread import RLock
from verdant.green.threading import dummy_thread_class
from verdant.patcher.installer import is_patched
from verdant.patcher.scanning import imported_names
from verdant.patcher.twins import (
    COPIED,
    RUN_AGAIN,
    green_replacements,
    make_twin,
    native_replacements,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

__all__ = ["green_view", "import_green", "import_with", "native_module"]

# The stdlib's own modules that wait through one of the twins. Others that merely touch one (locks
# in `logging`, `socket.getfqdn` in `email.utils`) stay shared: their state and classes matter more.
CARRIERS = frozenset(
    {
        "asynchat",
        "asyncore",
        "ftplib",
        "http.client",
        "http.server",
        "imaplib",
        "logging.handlers",
        "nntplib",
        "poplib",
        "smtpd",
        "smtplib",
        "socketserver",
        "telnetlib",
        "urllib.request",
        "urllib.robotparser",
        "wsgiref.simple_server",
        "xmlrpc.client",
        "xmlrpc.server",
    }
)

# What a green program runs on must be there once.
SHARED_ROOTS = frozenset({"verdant", "greenlet", "zmq"})


class _World:
    """Modules that see each other's versions, and the twins that this world makes or was given."""

    # The modules that it makes twins of, when they are asked for.
    twins: frozenset[str] = frozenset()

    def __init__(self, given: Mapping[str, ModuleType]) -> None:
        # Held while a module runs; a green lock, since such code may park.
        self._lock = RLock()
        self._modules: dict[str, ModuleType] = dict(given)
        self._imports: dict[str, frozenset[str]] = {}
        self._copied_roots: set[str] = set()
        self._builtins = dict(vars(builtins))
        self._builtins["__import__"] = self._import

    def named(self, name: str) -> ModuleType:
        """The module `name` of this world: a twin, or a copy even if it leads to no twin."""
        with self._lock:
            module = self._own(name)
            return self._copy(name) if module is None else module

    def seen(self, name: str) -> ModuleType:
        """The module `name` as a module of this world sees it."""
        with self._lock:
            return self._load(name)

    def _make_twin(self, name: str) -> ModuleType:
        # Here the given modules are all there are; a world with names in `twins` makes those.
        return import_module(name)

    def _own(self, name: str) -> ModuleType | None:
        module = self._modules.get(name)
        if module is None and name in self.twins:
            module = self._modules[name] = self._make_twin(name)
        return module

    def _load(self, name: str) -> ModuleType:
        module = self._own(name)
        if module is not None:
            return module
        if self._must_copy(name):
            return self._copy(name)
        module = import_module(name)
        parent, _, child = name.rpartition(".")
        if parent in self._modules:
            setattr(self._modules[parent], child, module)
        return module

    def _copy(self, name: str) -> ModuleType:
        parent, _, child = name.rpartition(".")
        if parent:
            if self._own(parent) is None:
                self._copy(parent)
            if name in self._modules:
                # The package imported it itself.
                return self._modules[name]
        spec = self._find(name)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        code = _code_of(spec)
        if code is None:
            # A C extension, or built in: it cannot be there twice.
            module = import_module(name)
        else:
            if name.partition(".")[0] not in sys.stdlib_module_names:
                self._copied_roots.add(name.partition(".")[0])
            module = self._run(spec, code)
        if parent:
            setattr(self._modules[parent], child, module)
        return module

    def _run(self, spec: ModuleSpec, code: CodeType) -> ModuleType:
        module = module_from_spec(spec)
        vars(module)["__builtins__"] = self._builtins
        self._modules[spec.name] = module
        parent, _, child = spec.name.rpartition(".")
        if parent:
            # Early, for modules that import each other: the interpreter looks for one that is not
            # finished in sys.modules, where ours are not.
            setattr(self._modules[parent], child, module)
        try:
            exec(code, vars(module))
        except BaseException:
            del self._modules[spec.name]
            if parent:
                vars(self._modules[parent]).pop(child, None)
            raise
        return module

    # Which modules need a copy.

    def _must_copy(self, name: str) -> bool:
        root = name.partition(".")[0]
        if root in SHARED_ROOTS:
            return False
        if root in sys.stdlib_module_names:
            return name in CARRIERS
        return root in self._copied_roots or self._leads_to_twin(name)

    def _leads_to_twin(self, name: str) -> bool:
        seen = {name}
        line = [name]
        while line:
            for target in self._imports_of(line.pop()):
                if target in self._modules or target in self.twins or target in CARRIERS:
                    return True
                root = target.partition(".")[0]
                if target not in seen and root not in sys.stdlib_module_names | SHARED_ROOTS:
                    seen.add(target)
                    line.append(target)
        return False

    def _imports_of(self, name: str) -> frozenset[str]:
        imports = self._imports.get(name)
        if imports is None:
            spec = self._find(name)
            code = None if spec is None else _code_of(spec)
            imports = frozenset()
            if spec is not None and code is not None:
                package = name if spec.submodule_search_locations is not None else spec.parent
                imports = imported_names(code, package or "")
                if "." in name:
                    imports |= {name.rpartition(".")[0]}
            self._imports[name] = imports
        return imports

    def _find(self, name: str) -> ModuleSpec | None:
        parent = name.rpartition(".")[0]
        path: Sequence[str] | None = None
        if parent:
            spec = self._find(parent)
            if spec is None or spec.submodule_search_locations is None:
                return None
            path = spec.submodule_search_locations
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path)
            if spec is not None:
                return spec
        return None

    # What `import` does in a module of this world.

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the builtin's parameters
        locals: object = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level > 0:
            name = resolve_name("." * level + name, (globals or {})["__package__"])
        with self._lock:
            module = self._load(name)
            if not fromlist:
                return self._load(name.partition(".")[0])
            for attribute in fromlist:
                if attribute == "*":
                    for each in getattr(module, "__all__", ()):
                        module = self._load_attribute(module, name, each)
                else:
                    module = self._load_attribute(module, name, attribute)
        return module

    def _load_attribute(self, module: ModuleType, name: str, attribute: str) -> ModuleType:
        """See to it that `attribute` is there if it is a submodule; the package as it is then."""
        if not hasattr(module, "__path__"):
            return module
        full = f"{name}.{attribute}"
        if self._own(full) is None:
            if self._must_copy(full) and self._find(full) is not None:
                self._copy(full)
            elif not hasattr(module, attribute):
                try:
                    self._load(full)
                except ModuleNotFoundError as exc:
                    if exc.name != full:
                        raise
                    # No module: the statement itself will say that there is no such name.
        return self._modules.get(name, module)


def _code_of(spec: ModuleSpec) -> CodeType | None:
    get_code = getattr(spec.loader, "get_code", None)
    if get_code is None:
        return None
    code: CodeType | None = cast("Callable[[str], CodeType | None]", get_code)(spec.name)
    return code


class _GreenWorld(_World):
    twins = frozenset({*COPIED, *RUN_AGAIN})

    def _make_twin(self, name: str) -> ModuleType:
        if is_patched(name) and (name != "queue" or is_patched("threading")):
            # Green already, for the whole process.
            return import_module(name)
        if name in COPIED:
            real = import_module(name)
            return make_twin(real, green_replacements(real), self._own, self._builtins)
        twin = self._copy(name)
        if name == "threading":
            vars(twin)["_DummyThread"] = dummy_thread_class(twin)
        else:
            vars(twin)["SimpleQueue"] = SimpleQueue
        return twin


class _NativeWorld(_World):
    twins = frozenset({*COPIED, *RUN_AGAIN})

    def _make_twin(self, name: str) -> ModuleType:
        if not is_patched(name) and (name != "queue" or not is_patched("threading")):
            return import_module(name)
        if name in RUN_AGAIN:
            return self._copy(name)
        real = import_module(name)
        return make_twin(real, native_replacements(real), self._own, self._builtins)


_green = _GreenWorld({})


def import_green(name: str) -> ModuleType:
    """A green version of the module `name`; the process's own stays as it is.

    For the stdlib's networking modules (`"urllib.request"`, `"smtplib"`), for twins (`"socket"`,
    `"threading"`), and for libraries, whose own imports are then green too. Raises what importing
    raises. Parks only if the module's own code does.
    """
    return _green.named(name)


def green_view(name: str) -> ModuleType:
    """The module `name` as green modules see it: as `import_green`, unless it leads to no twin."""
    return _green.seen(name)


def import_with(name: str, modules: Mapping[str, ModuleType]) -> ModuleType:
    """A new copy of the module `name` that finds `modules`, by name, when it imports them."""
    return _World(modules).named(name)


def native_module(name: str) -> ModuleType:
    """The stdlib's module `name` as it was before any patch. Does not park.

    The module itself when nothing in it is patched. Raises ImportError when there is none.
    """
    # Not kept: a later patch may add to what has to be undone.
    return _NativeWorld({}).seen(name)
