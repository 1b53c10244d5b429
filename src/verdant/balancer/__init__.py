"""The balancer: reprogrammed while it runs, holds what must wait."""

from verdant.balancer.access_log import AccessRecord, AccessSink
from verdant.balancer.certificates import Certificates, CertificateState
from verdant.balancer.client import BalancerClient, BalancerUnreachable, ManagementRefused
from verdant.balancer.config import (
    BalancerConfig,
    FeedConfig,
    TlsConfig,
    TokenConfig,
    WakeConfig,
)
from verdant.balancer.errors import (
    BadCertificate,
    BadRule,
    Conflict,
    RestartRefused,
    StateDamaged,
    StateError,
    StateInUse,
    StateUnwritable,
    WorkerFailed,
)
from verdant.balancer.mantrid import MantridConf, import_state, read_conf
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
    "BadCertificate",
    "BadRule",
    "BalancerClient",
    "BalancerConfig",
    "BalancerService",
    "BalancerUnreachable",
    "CertificateState",
    "Certificates",
    "Conflict",
    "FeedConfig",
    "Launch",
    "ManagementRefused",
    "MantridConf",
    "MemoryStore",
    "RestartRefused",
    "Rule",
    "StateDamaged",
    "StateError",
    "StateInUse",
    "StateStore",
    "StateUnwritable",
    "Supervisor",
    "TlsConfig",
    "TokenConfig",
    "WakeConfig",
    "WorkerFailed",
    "WorkerOrders",
    "WorkerProcess",
    "import_state",
    "parse_rule",
    "read_conf",
    "read_note",
]
