"""Access lines, and the things they can be given to."""

from __future__ import annotations

import io
import logging

import pytest

from verdant.wsgi import AccessEntry, access_line
from verdant.wsgi.access import line_sink

ENTRY = AccessEntry("10.0.0.2", 0.0, "GET", '/a"b', "HTTP/1.1", 200, 123, 0.25)


def test_a_line_holds_what_its_format_asks_for() -> None:
    line = access_line(ENTRY)
    assert line.startswith("10.0.0.2 - - [")
    assert line.endswith('] "GET /a%22b HTTP/1.1" 200 123 0.250000')
    assert access_line(ENTRY, "%(status_code)s") == "200"


def test_functions_loggers_and_files_take_lines(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []
    file = io.StringIO()
    caplog.set_level(logging.INFO, "access.test")
    for log in (lines.append, file, logging.getLogger("access.test")):
        sink = line_sink(log, "%(client_ip)s")
        assert sink is not None
        sink(ENTRY)
    assert lines == ["10.0.0.2"]
    assert file.getvalue() == "10.0.0.2\n"
    assert caplog.messages == ["10.0.0.2"]
    assert line_sink(None) is None
    with pytest.raises(TypeError, match="function, a logger or a file"):
        line_sink(3)
