"""What does a proxied request cost?

Question  CPU µs per keep-alive request passed to a pooled backend, in the balancer's process alone.
Method    harness.py; the backend is nginx with a constant answer, the same for all. Verdant runs
          as operators run it but for the access log, which the others have off as well. nginx,
          HAProxy and Caddy take part when they are installed, one worker or thread each.
Changes our mind  a ratio above 2.0 to nginx: then parsing and forwarding want another look.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Candidate, free_port, need, run, wait_for

HOST = "bench.test"


def find(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def nginx_config(directory: Path, name: str, server: str) -> str:
    path = directory / f"{name}.conf"
    path.write_text(
        f"daemon off; worker_processes 1; pid {directory}/{name}.pid;\n"
        f"error_log {directory}/{name}.log;\nevents {{ worker_connections 4096; }}\n"
        f"http {{ access_log off; keepalive_requests 100000000;\n{server}\n}}\n"
    )
    return str(path)


def candidates(directory: Path, backend: int, nginx: str) -> list[Candidate]:
    found = []
    port, management = free_port(), free_port()
    config = directory / "verdant.toml"
    config.write_text(
        f'[balancer]\nbind = ["127.0.0.1:{port}"]\nmanagement = "127.0.0.1:{management}"\n'
        f'state_dir = "{directory}/state"\nworkers = 1\n'
    )
    state = directory / "state"
    state.mkdir()
    (state / "state.json").write_text(
        f'{{"version": 1, "hosts": {{"{HOST}": '
        f'["proxy", {{"backends": [["127.0.0.1", {backend}]]}}, false]}}}}'
    )
    verdant = str(Path(sys.executable).parent / "verdant")
    found.append(Candidate("verdant", [verdant, "balancer", "-c", str(config)], port, HOST))

    port = free_port()
    proxy = (
        f"upstream backend {{ server 127.0.0.1:{backend}; keepalive 128;"
        " keepalive_requests 100000000; }\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096; location / {{"
        " proxy_pass http://backend; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $remote_addr; } }'
    )
    path = nginx_config(directory, "proxy", proxy)
    found.append(Candidate("nginx", [nginx, "-c", path], port, HOST))

    haproxy = find("haproxy")
    if haproxy is not None:
        port = free_port()
        path = str(directory / "haproxy.cfg")
        Path(path).write_text(
            "global\n  nbthread 1\n  maxconn 4096\n"
            "defaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n"
            "  timeout connect 5s\n  option forwardfor\n  http-reuse always\n"
            f"frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\n"
            f"backend b\n  server s 127.0.0.1:{backend}\n"
        )
        found.append(Candidate("haproxy", [haproxy, "-db", "-f", path], port, HOST))

    caddy = find("caddy")
    if caddy is not None:
        port = free_port()
        path = str(directory / "Caddyfile")
        Path(path).write_text(
            "{\n  admin off\n  auto_https off\n}\n"
            f"http://:{port} {{\n  bind 127.0.0.1\n  reverse_proxy 127.0.0.1:{backend}\n}}\n"
        )
        command = [caddy, "run", "--adapter", "caddyfile", "--config", path]
        found.append(Candidate("caddy", command, port, HOST))
    return found


def main() -> None:
    need("wrk")
    nginx = find("nginx")
    if nginx is None:
        raise SystemExit("this benchmark needs nginx as its backend: `make test-deps`")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        port = free_port()
        server = (
            f"server {{ listen 127.0.0.1:{port} backlog=4096;"
            ' location / { return 200 "hello"; } }'
        )
        backend = subprocess.Popen([nginx, "-c", nginx_config(directory, "backend", server)])
        try:
            wait_for(port, backend)
            run("what does a proxied request cost", candidates(directory, port, nginx), "nginx")
        finally:
            backend.terminate()
            backend.wait()


if __name__ == "__main__":
    main()
