"""The management API: the interface under /v1, who may use it, and metrics."""

from verdant.balancer.api.access import Access
from verdant.balancer.api.application import ManagementApi
from verdant.balancer.api.publisher import ChangePublisher

__all__ = ["Access", "ChangePublisher", "ManagementApi"]
