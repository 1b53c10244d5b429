"""Loop: the talk's decorator, which makes a concurrent server of a function.

Place     zmq, on service.py.
Promise   the slide means what it meant:

    @zmq_loop(zmq.XREP, 8000)
    def handle_request(string):
        sleep(10)                   # others are answered meanwhile
        return string * 2

    handle_request.run()            # or start(), and stop(grace_s) later
    handle_request(b"ab")           # still the plain function: b"abab"

Not here  what is behind `run` (service.py), what a handler may take (form.py).
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from verdant.zmq.form import Encoding, form_of
from verdant.zmq.service import Service
from verdant.zmq.service_errors import BadHandler, CallRefused

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Methods", "ServiceOfMethod", "zmq_loop"]

# Of a name that is unknown, in the error that says so.
METHOD_NAME_BYTES_SHOWN = 60


class ServiceOfMethod:
    """A method with `zmq_loop` on it: each object has a service of its own, made on first use."""

    def __init__(self, function: Callable[..., Any], make: Callable[..., Service]) -> None:
        self._function = function
        self._make = make
        self._attribute = function.__name__
        # Its names alone: the attributes here are ours.
        update_wrapper(self, function, updated=())

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name

    def __get__(self, instance: object, owner: type | None = None) -> Service | ServiceOfMethod:
        """The object's service; the class itself gives this back."""
        if instance is None:
            return self
        service = self._make(self._function.__get__(instance))
        try:
            # Where Python looks before it comes here again.
            instance.__dict__[self._attribute] = service
        except AttributeError:
            raise BadHandler(
                f"{type(instance).__name__} has __slots__ and no room for the service "
                f"{self._attribute}: add '__dict__' to them"
            ) from None
        return service

    def __call__(self, *args: Any) -> Any:  # noqa: ANN401 - the method's own
        """The plain function: the object first."""
        return self._function(*args)


def zmq_loop(
    socket_type: int,
    place: int | str,
    **options: Any,  # noqa: ANN401 - as Service's
) -> Callable[[Callable[..., Any]], Any]:
    """Make a `Service` of the function below. Does not park; nothing listens before `start()`.

    socket_type: ROUTER, by its old name XREP; or DEALER (XREQ) with `connect=True` for a worker
    behind a broker. place: a port on 127.0.0.1 (0: any free one), or an endpoint as ZeroMQ writes
    it. options: as `Service` has them. On a method, each object has a service of its own. Raises
    `BadHandler` when the function cannot serve.
    """

    def make(handle: Callable[..., Any]) -> Service:
        return Service(handle, socket_type, place, **options)

    def decorate(function: Callable[..., Any]) -> Any:  # noqa: ANN401 - a service, or one per object
        if _is_method(function):
            return ServiceOfMethod(function, make)
        return update_wrapper(make(function), function, updated=())

    return decorate


def _is_method(function: Callable[..., Any]) -> bool:
    # Being defined: its class does not exist yet, but its qualified name says where it stands.
    _, dot, _ = getattr(function, "__qualname__", "").rpartition(".")
    if not dot or function.__qualname__.rpartition(".")[0].endswith("<locals>"):
        return False
    code = getattr(function, "__code__", None)
    # One argument is a static function that lives in a class; a bound method has its object.
    return code is not None and not hasattr(function, "__self__") and code.co_argcount > 1


class Methods:
    """Several functions behind one service: the first frame of a request names one of them.

        methods = Methods()

        @methods.method
        def add(numbers: Numbers) -> Sum: ...

        service = zmq_loop(ROUTER, 8000)(methods)

    A client calls `client.ask(Numbers(…), Sum, method="add")`. The name and the request are a frame
    each. encoding: of requests and answers, "json" or "msgpack".
    """

    def __init__(self, *, encoding: Encoding = "json") -> None:
        self._encoding = encoding
        self._forms: dict[bytes, Callable[[list[bytes]], list[bytes]]] = {}

    def method(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Let calls reach `function` by its name. Returns it as it is. Raises `BadHandler`."""
        name = function.__name__.encode()
        if name in self._forms:
            raise BadHandler(f"there is a method {function.__name__} already: choose another name")
        self._forms[name] = form_of(function, encoding=self._encoding)
        return function

    def __call__(self, body: list[bytes]) -> list[bytes]:
        """Answer one request. Raises `CallRefused` when it names no method."""
        form = self._forms.get(body[0]) if body else None
        if form is None:
            known = ", ".join(sorted(name.decode() for name in self._forms))
            asked = body[0][:METHOD_NAME_BYTES_SHOWN].decode("utf-8", "replace") if body else ""
            raise CallRefused(f"there is no method {asked!r}: there is {known}")
        return form(body[1:])
