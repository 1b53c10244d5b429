"""Print the public names of each module, and the parameters of what can be called, as JSON."""

from __future__ import annotations

import inspect
import json
from typing import Any

from verdant import eventlet
from verdant.eventlet import (
    backdoor,
    convenience,
    corolocal,
    dagpool,
    db_pool,
    debug,
    event,
    greenio,
    greenpool,
    greenthread,
    hubs,
    patcher,
    pools,
    queue,
    semaphore,
    timeout,
    tpool,
    websocket,
    wsgi,
)

MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        eventlet,
        *(backdoor, convenience, corolocal, dagpool, db_pool, debug, event, greenio, greenpool),
        *(greenthread, hubs, patcher, pools, queue, semaphore, timeout, tpool, websocket, wsgi),
    )
}


def parameters(value: Any) -> list[str] | None:
    try:
        found = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return None
    # A name after stars says nothing to a caller.
    stars: dict[Any, str] = {
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.VAR_KEYWORD: "**",
    }
    return [stars.get(each.kind, each.name) for each in found]


def public(names: Any) -> list[str]:
    return [name for name in names if not name.startswith("_")]


def describe(value: Any) -> Any:
    if inspect.isclass(value) and not issubclass(value, BaseException):
        members = public(dir(value))
        return {
            name: parameters(getattr(value, name))
            for name in members
            if callable(getattr(value, name))
        } | {"__init__": parameters(value)}
    return parameters(value)


# The hub is an object that is got, not a class that is made.
found = {
    name: {
        each: describe(getattr(module, each))
        for each in public(dir(module))
        if getattr(getattr(module, each), "__module__", "").startswith(("eventlet", "verdant"))
    }
    for name, module in MODULES.items()
}
hub = hubs.get_hub()
found["hub"] = {
    name: parameters(getattr(hub, name))
    for name in public(dir(hub))
    if inspect.ismethod(getattr(hub, name, None))
}
print(json.dumps(found))
