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
    StateDamaged,
    StateError,
    StateInUse,
    StateUnwritable,
)
from verdant.balancer.mantrid import MantridConf, import_state, read_conf
from verdant.balancer.rules import Rule, parse_rule
from verdant.balancer.service import BalancerService
from verdant.balancer.wake import NOTICE

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
    "ManagementRefused",
    "MantridConf",
    "Rule",
    "StateDamaged",
    "StateError",
    "StateInUse",
    "StateUnwritable",
    "TlsConfig",
    "TokenConfig",
    "WakeConfig",
    "import_state",
    "parse_rule",
    "read_conf",
]
