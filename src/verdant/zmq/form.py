"""Form: what a handler takes and gives, found from its annotations, as a function of bodies.

Place     zmq; service.py calls what is made here, once per request.
Promise   `bytes` (or no annotation) is the one frame as it came, `list[bytes]` all frames; any
          other type is decoded and validated by msgspec before the handler sees it. What is not of
          that type is refused with msgspec's own words and never gets into the handler.
Not here  green threads, sockets, the wire's envelope.

msgspec is imported when a handler asks for it, so that plain services do not need it.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, cast, get_type_hints

from verdant.zmq.service_errors import BadHandler, CallRefused

if TYPE_CHECKING:
    import types
    from collections.abc import Callable

__all__ = ["Encoding", "decode", "encode", "form_of"]

Encoding = Literal["json", "msgpack"]
Body = list[bytes]

_FRAMES = list[bytes]


def encode(value: object, encoding: Encoding = "json") -> bytes:
    """A record, or whatever msgspec encodes, as bytes."""
    msgspec = _msgspec()
    codec = msgspec.json if encoding == "json" else msgspec.msgpack
    return cast("bytes", codec.encode(value))


def decode(data: bytes, kind: Any, encoding: Encoding = "json") -> Any:  # noqa: ANN401 - any type that msgspec knows
    """The value of type `kind` that `data` says. Raises `msgspec.DecodeError` or its heir."""
    msgspec = _msgspec()
    return (msgspec.json if encoding == "json" else msgspec.msgpack).decode(data, type=kind)


def form_of(
    handle: Callable[..., Any],
    *,
    takes: Any = None,  # noqa: ANN401 - a type
    gives: Any = None,  # noqa: ANN401 - a type
    encoding: Encoding = "json",
) -> Callable[[Body], Body]:
    """`handle` as a function of a body that returns a body.

    takes, gives: the types, where annotations cannot say them. Raises `BadHandler`.
    """
    name = getattr(handle, "__qualname__", None) or repr(handle)
    annotated_takes, annotated_gives = _annotations(handle, name, needed=takes is None)
    takes = annotated_takes if takes is None else takes
    gives = annotated_gives if gives is None else gives
    decoded = _decoder(takes, name, encoding)
    encoded = _encoder(gives, name, encoding)

    def call(body: Body) -> Body:
        return encoded(handle(decoded(body)))

    return call


def _annotations(handle: Callable[..., Any], name: str, *, needed: bool) -> tuple[Any, Any]:
    # Of a callable object, its `__call__`.
    plain = inspect.isfunction(handle) or inspect.ismethod(handle)
    function = handle if plain else getattr(handle, "__call__", handle)  # noqa: B004 - read, not asked
    try:
        parameters = list(inspect.signature(handle).parameters.values())
    except (TypeError, ValueError):
        # Written in C, and says nothing of itself.
        return bytes, bytes
    wanted = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    must = [p for p in wanted if p.default is p.empty]
    if len(must) > 1 or not (wanted or any(p.kind is p.VAR_POSITIONAL for p in parameters)):
        raise BadHandler(
            f"{name} takes {len(must)} arguments: a handler takes one, the request "
            "(decorate a method inside its class, or give a bound one)"
        )
    try:
        hints = get_type_hints(function)
    except NameError as exc:
        if not needed:
            return bytes, bytes
        raise BadHandler(
            f"{name} is annotated with a name that is not known where it stands ({exc}): "
            "define the type at the module's top, or give it as takes= and gives="
        ) from exc
    except TypeError:
        hints = {}
    first = wanted[0].name if wanted else ""
    takes = hints.get(first, bytes)
    gives = hints.get("return", _FRAMES if takes == _FRAMES else bytes)
    return takes, gives


def _decoder(takes: Any, name: str, encoding: Encoding) -> Callable[[Body], Any]:  # noqa: ANN401 - a type
    if takes == _FRAMES:
        return lambda body: body

    def only(body: Body) -> bytes:
        if len(body) != 1:
            raise CallRefused(f"{name} takes one frame, and this request has {len(body)}")
        return body[0]

    if takes is bytes or takes is Any:
        return only
    msgspec = _msgspec()
    decoder = (msgspec.json if encoding == "json" else msgspec.msgpack).Decoder(takes)

    def typed(body: Body) -> Any:  # noqa: ANN401 - whatever `takes` says
        try:
            return decoder.decode(only(body))
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise CallRefused(f"{name} cannot take this request: {exc}") from None

    return typed


def _encoder(gives: Any, name: str, encoding: Encoding) -> Callable[[Any], Body]:  # noqa: ANN401 - a type
    if gives == _FRAMES:
        return lambda result: [_frame(part, name) for part in _sequence(result, name)]
    if gives is bytes or gives is Any:
        return lambda result: [result if type(result) is bytes else _frame(result, name)]
    msgspec = _msgspec()
    encoder = (msgspec.json if encoding == "json" else msgspec.msgpack).Encoder()
    return lambda result: [encoder.encode(result)]


def _sequence(result: object, name: str) -> list[object] | tuple[object, ...]:
    if not isinstance(result, list | tuple):
        raise BadHandler(f"{name} answered with {type(result).__name__}, not a list of bytes")
    return result


def _frame(part: object, name: str) -> bytes:
    if isinstance(part, bytes | bytearray | memoryview):
        return bytes(part)
    raise BadHandler(f"{name} answered with {type(part).__name__}, not bytes")


def _msgspec() -> types.ModuleType:
    try:
        import msgspec
        import msgspec.json
        import msgspec.msgpack
    except ModuleNotFoundError as exc:
        raise BadHandler(
            "requests and answers other than bytes need msgspec: pip install msgspec"
        ) from exc
    return msgspec
