"""Patterns: what is built from ZeroMQ's sockets again and again, with what each one loses."""

from verdant.zmq.errors import PeerSilent, StreamBroken
from verdant.zmq.patterns.acked import AckedPull, AckedPush, Delivery
from verdant.zmq.patterns.credit import CREDIT_MAX, Credit, Window
from verdant.zmq.patterns.publisher import Publisher
from verdant.zmq.patterns.pump import Pump, PumpStatistics, forwarder, request_queue
from verdant.zmq.patterns.replica import Change, History, Replica
from verdant.zmq.patterns.stream_client import Stream, StreamClient
from verdant.zmq.patterns.stream_server import StreamServer
from verdant.zmq.patterns.subscriber import Subscriber, SubscriberStatistics

__all__ = [
    "CREDIT_MAX",
    "AckedPull",
    "AckedPush",
    "Change",
    "Credit",
    "Delivery",
    "History",
    "PeerSilent",
    "Publisher",
    "Pump",
    "PumpStatistics",
    "Replica",
    "Stream",
    "StreamBroken",
    "StreamClient",
    "StreamServer",
    "Subscriber",
    "SubscriberStatistics",
    "Window",
    "forwarder",
    "request_queue",
]
