"""ZeroMQ in green threads: pyzmq's surface, waits that park.

Every public name of pyzmq is here: what waits is ours, what does not is pyzmq's own.
"""

import zmq.constants as _constants

# libzmq's constants are some 280 names, which grow with it: they are pyzmq's to list.
from zmq import (
    _FINISHED_TRACKER,
    COPY_THRESHOLD,
    DRAFT_API,
    Again,
    ContextTerminated,
    DraftFDWarning,
    Frame,
    InterruptedSystemCall,
    Message,
    MessageTracker,
    NotDone,
    Stopwatch,
    SyncContext,
    SyncSocket,
    ZMQBaseError,
    ZMQBindError,
    ZMQError,
    ZMQVersionError,
    __revision__,
    __version__,
    constants,
    curve_keypair,
    curve_public,
    error,
    get_includes,
    get_library_dirs,
    has,
    pyzmq_version,
    pyzmq_version_info,
    strerror,
    utils,
    zmq_errno,
    zmq_version,
    zmq_version_info,
)
from zmq.backend import IPC_PATH_MAX_LEN, PYZMQ_DRAFT_API
from zmq.constants import *  # noqa: F403

from verdant.zmq.client import Client
from verdant.zmq.context import LINGER_MS_DEFAULT, Context
from verdant.zmq.errors import WrongProcess, WrongThread
from verdant.zmq.garbage import keep_collector_native
from verdant.zmq.loop import Methods, zmq_loop
from verdant.zmq.poller import Poller, select, zmq_poll
from verdant.zmq.proxy import device, proxy, proxy_steerable
from verdant.zmq.readiness import Readiness
from verdant.zmq.service import Service
from verdant.zmq.service_errors import BadHandler, CallFailed, CallRefused, NoAnswer, ServiceError
from verdant.zmq.socket import Socket

keep_collector_native()

__all__ = [
    "COPY_THRESHOLD",
    "DRAFT_API",
    "IPC_PATH_MAX_LEN",
    "LINGER_MS_DEFAULT",
    "PYZMQ_DRAFT_API",
    "_FINISHED_TRACKER",
    "Again",
    "BadHandler",
    "CallFailed",
    "CallRefused",
    "Client",
    "Context",
    "ContextTerminated",
    "DraftFDWarning",
    "Frame",
    "InterruptedSystemCall",
    "Message",
    "MessageTracker",
    "Methods",
    "NoAnswer",
    "NotDone",
    "Poller",
    "Readiness",
    "Service",
    "ServiceError",
    "Socket",
    "Stopwatch",
    "SyncContext",
    "SyncSocket",
    "WrongProcess",
    "WrongThread",
    "ZMQBaseError",
    "ZMQBindError",
    "ZMQError",
    "ZMQVersionError",
    "__revision__",
    "__version__",
    "constants",
    "curve_keypair",
    "curve_public",
    "device",
    "error",
    "get_includes",
    "get_library_dirs",
    "has",
    "proxy",
    "proxy_steerable",
    "pyzmq_version",
    "pyzmq_version_info",
    "select",
    "strerror",
    "utils",
    "zmq_errno",
    "zmq_loop",
    "zmq_poll",
    "zmq_version",
    "zmq_version_info",
]
__all__ += _constants.__all__
