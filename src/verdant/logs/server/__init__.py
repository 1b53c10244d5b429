"""The log server: collector, answerer, service."""

from verdant.logs.server.service import EndpointUnusable, LogService, Refused

__all__ = ["EndpointUnusable", "LogService", "Refused"]
