from collections.abc import Callable
from typing import Any

from verdant.zmq.calls import PureCalls, PureTurns

class Turns(PureTurns): ...
class Calls(PureCalls): ...

def use(
    recv: Callable[..., Any], send: Callable[..., Any], again: type[BaseException], no_block: int, /
) -> None: ...
