"""The balancer: reprogrammed while it runs, holds what must wait."""

from verdant.balancer.access_log import AccessRecord, AccessSink
from verdant.balancer.client import BalancerClient, BalancerUnreachable
from verdant.balancer.config import BalancerConfig, WakeConfig
from verdant.balancer.errors import (
    BadRule,
    RestartRefused,
    StateDamaged,
    StateError,
    StateInUse,
    StateUnwritable,
    WorkerFailed,
)
from verdant.balancer.rules import Rule, parse_rule
from verdant.balancer.service import BalancerService
from verdant.balancer.stores import MemoryStore, StateStore
from verdant.balancer.supervisor import Launch, Supervisor
from verdant.balancer.supervisor_note import read_note
from verdant.balancer.wake import NOTICE
from verdant.balancer.worker_process import WorkerOrders, WorkerProcess

__all__ = [
    "NOTICE",
    "AccessRecord",
    "AccessSink",
    "BadRule",
    "BalancerClient",
    "BalancerConfig",
    "BalancerService",
    "BalancerUnreachable",
    "Launch",
    "MemoryStore",
    "RestartRefused",
    "Rule",
    "StateDamaged",
    "StateError",
    "StateInUse",
    "StateStore",
    "StateUnwritable",
    "Supervisor",
    "WakeConfig",
    "WorkerFailed",
    "WorkerOrders",
    "WorkerProcess",
    "parse_rule",
    "read_note",
]
