"""What a rule does with a request: a function per action, in a file each."""

from verdant.balancer.actions.empty import answer_empty
from verdant.balancer.actions.proxy import answer_by_proxy
from verdant.balancer.actions.redirect import answer_redirect
from verdant.balancer.actions.static import answer_no_hosts, answer_static, answer_unknown

__all__ = [
    "answer_by_proxy",
    "answer_empty",
    "answer_no_hosts",
    "answer_redirect",
    "answer_static",
    "answer_unknown",
]
