"""The log server: collector, answerer, service."""

from verdant.logs.server.service import EndpointUnusable, LogService

__all__ = ["EndpointUnusable", "LogService"]
