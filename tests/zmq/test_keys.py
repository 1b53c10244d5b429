"""Key files: what others write we read, what we write they read, secrets stay secret."""

from __future__ import annotations

import contextlib
import stat
from typing import TYPE_CHECKING

import pytest
import zmq.auth
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from verdant.cli.main import main
from verdant.zmq.keys import parse_key_file
from verdant.zmq.security import (
    BadKeyFile,
    allowed_keys,
    checked_key,
    new_keys,
    read_keys,
    read_public,
    write_keys,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_pyzmq_reads_our_files(tmp_path: Path) -> None:
    public_path, secret_path = write_keys("web", tmp_path)
    pair = read_keys(secret_path)
    assert zmq.auth.load_certificate(secret_path) == (pair.public, pair.secret)
    assert zmq.auth.load_certificate(public_path) == (pair.public, None)
    assert zmq.auth.load_certificates(tmp_path) == {pair.public: True}


def test_we_read_pyzmqs_files(tmp_path: Path) -> None:
    public_path, secret_path = zmq.auth.create_certificates(tmp_path, "web", {"name": "web"})
    (tmp_path / "web.key_secret").chmod(0o600)
    assert zmq.auth.load_certificate(secret_path)[1] == read_keys(secret_path).secret
    assert read_public(public_path) == read_keys(secret_path).public
    assert allowed_keys(tmp_path) == {read_public(public_path): "web"}


def test_a_secret_is_for_its_owner_alone_and_shows_nowhere(tmp_path: Path) -> None:
    public_path, secret_path = write_keys("web", tmp_path / "made")
    assert stat.S_IMODE(secret_path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    pair = read_keys(secret_path)
    assert pair.secret.decode() not in repr(pair)
    assert pair.secret not in public_path.read_bytes()
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        "web.key",
        "web.key_secret",
    ]
    secret_path.chmod(0o644)
    with pytest.raises(BadKeyFile, match="chmod 600"):
        read_keys(secret_path)


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    _, secret_path = write_keys("web", tmp_path)
    before = secret_path.read_bytes()
    with pytest.raises(BadKeyFile, match="exists"):
        write_keys("web", tmp_path)
    secret_path.rename(tmp_path / "moved")
    with pytest.raises(BadKeyFile, match=r"web\.key: exists"):
        write_keys("web", tmp_path)
    assert not secret_path.exists()
    write_keys("web", tmp_path, overwrite=True)
    assert secret_path.read_bytes() != before


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a" * 101, "naïve"])
def test_a_name_cannot_leave_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadKeyFile, match="cannot name"):
        write_keys(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_key_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.key"
    with pytest.raises(BadKeyFile, match="cannot be read"):
        read_keys(path)
    for content in (b"", b"\xff\xfe", b"x" * 70_000, b'public-key = "short"', b"public-key = \n"):
        path.write_bytes(content)
        with pytest.raises(BadKeyFile, match=r"odd\.key"):
            read_public(path)
    public_path, _ = write_keys("web", tmp_path / "good")
    with pytest.raises(BadKeyFile, match=r"web\.key_secret"):
        read_keys(public_path)


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_text_is_a_key_or_a_value_error(text: bytes | str) -> None:
    with contextlib.suppress(ValueError):
        assert len(checked_key(text)) == 40


@settings(deadline=None)
@given(st.text())
def test_any_text_is_parsed_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_key_file(text)


def test_five_characters_over_the_top_are_no_key() -> None:
    with pytest.raises(ValueError, match="Z85"):
        checked_key("#" * 40)
    assert checked_key(new_keys().public.decode())


def test_the_command(tmp_path: Path) -> None:
    run = CliRunner()
    done = run.invoke(main, ["keys", "new", "web", "--dir", str(tmp_path)])
    assert done.exit_code == 0, done.output
    public = read_public(tmp_path / "web.key")
    assert public.decode() in done.output
    assert read_keys(tmp_path / "web.key_secret").secret.decode() not in done.output
    done = run.invoke(main, ["keys", "new", "web", "--dir", str(tmp_path)])
    assert (done.exit_code, "exists" in done.output) == (1, True)
    assert read_public(tmp_path / "web.key") == public
    done = run.invoke(main, ["keys", "new", "web", "--dir", str(tmp_path), "--overwrite"])
    assert done.exit_code == 0
    done = run.invoke(main, ["keys", "show", str(tmp_path / "web.key_secret")])
    assert done.output.strip() == read_public(tmp_path / "web.key").decode()
