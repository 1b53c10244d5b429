"""The balancer: reprogrammed while it runs, holds what must wait."""

from verdant.balancer.access_log import AccessRecord, AccessSink
from verdant.balancer.certificates import Certificates, CertificateState
from verdant.balancer.client import BalancerClient, BalancerUnreachable
from verdant.balancer.config import BalancerConfig, TlsConfig, WakeConfig
from verdant.balancer.errors import (
    BadCertificate,
    BadRule,
    StateDamaged,
    StateError,
    StateInUse,
    StateUnwritable,
)
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
    "Rule",
    "StateDamaged",
    "StateError",
    "StateInUse",
    "StateUnwritable",
    "TlsConfig",
    "WakeConfig",
    "parse_rule",
]
