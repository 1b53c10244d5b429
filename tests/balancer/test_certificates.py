"""Certificates by name, without a balancer: files that come, change, do not fit, and go."""

from __future__ import annotations

import contextlib
import datetime
import os
import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer import BadCertificate, Certificates
from verdant.balancer.x509 import read_certificate

if TYPE_CHECKING:
    from pathlib import Path

CA = trustme.CA()


def issue(*names: str, days: tuple[int, int] = (-1, 90)) -> tuple[bytes, bytes]:
    """A chain and its key. `days`: valid from, until, counted from now."""
    now = datetime.datetime.now(datetime.UTC)
    first, last = (now + datetime.timedelta(days=count) for count in days)
    made = CA.issue_cert(*names, not_before=first, not_after=last)
    chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
    return chain, made.private_key_pem.bytes()


ONE = issue("one.test")
WILD = issue("*.wild.test", "wild.test")


def write(directory: Path, name: str, pair: tuple[bytes, bytes]) -> None:
    (directory / f"{name}.key").write_bytes(pair[1])
    (directory / f"{name}.pem").write_bytes(pair[0])


def served(certificates: Certificates, name: str | None) -> bytes | None:
    """The certificate (DER) that a client gets who asks for `name`; None if it is refused."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    asking.verify_mode = ssl.CERT_NONE
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server, server_hostname=name)
    server = certificates.context.wrap_bio(to_server, to_client, server_side=True)
    waiting = {client, server}
    refusal = None
    for _ in range(20):
        for end in [*waiting]:
            try:
                end.do_handshake()
                waiting.discard(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as exc:
                if end is client:
                    refusal = exc.reason
                waiting.discard(end)
    if refusal is not None:
        assert "UNRECOGNIZED_NAME" in refusal
        return None
    return client.getpeercert(binary_form=True)


def leaf(pair: tuple[bytes, bytes]) -> bytes:
    return ssl.PEM_cert_to_DER_cert(
        pair[0].decode().split("-----END")[0] + "-----END CERTIFICATE-----"
    )


def test_each_name_gets_its_own_and_wildcards_one_label(tmp_path: Path) -> None:
    write(tmp_path, "one.test", ONE)
    write(tmp_path, "*.wild.test", WILD)
    certificates = Certificates(tmp_path)
    assert served(certificates, "one.test") == leaf(ONE)
    assert served(certificates, "ONE.test") == leaf(ONE)
    assert served(certificates, "a.wild.test") == leaf(WILD)
    for unknown in ("b.a.wild.test", "wild.test", "two.test", "test", "127.0.0.1", None):
        assert served(certificates, unknown) is None
    assert certificates.names() == ["*.wild.test", "one.test"]


def test_a_default_answers_for_unknown_names_and_none(tmp_path: Path) -> None:
    write(tmp_path, "one.test", ONE)
    certificates = Certificates(tmp_path, default="one.test")
    assert served(certificates, "two.test") == served(certificates, None) == leaf(ONE)


def test_the_layout_of_renewing_programs_is_read(tmp_path: Path) -> None:
    (tmp_path / "one.test").mkdir()
    (tmp_path / "one.test" / "fullchain.pem").write_bytes(ONE[0])
    (tmp_path / "one.test" / "privkey.pem").write_bytes(ONE[1])
    (tmp_path / "both.test.pem").write_bytes(b"".join(issue("both.test")))
    certificates = Certificates(tmp_path)
    assert served(certificates, "one.test") == leaf(ONE)
    assert served(certificates, "both.test") is not None
    assert certificates.names() == ["both.test", "one.test"]


def test_what_is_replaced_or_deleted_counts_at_once(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    assert served(certificates, "one.test") is None
    certificates.put("one.test", *ONE)
    assert os.stat(tmp_path / "one.test.pem").st_mode & 0o077 == 0
    assert served(certificates, "one.test") == leaf(ONE)
    other = issue("one.test")
    facts = certificates.put("one.test", *other)
    assert facts.names == ("one.test",)
    assert served(certificates, "one.test") == leaf(other)
    assert certificates.delete("one.test")
    assert not certificates.delete("one.test")
    assert served(certificates, "one.test") is None


def test_a_pair_half_replaced_keeps_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "one.test", ONE)
    certificates = Certificates(tmp_path)
    assert served(certificates, "one.test") == leaf(ONE)
    other = issue("one.test")
    (tmp_path / "one.test.pem").write_bytes(other[0])
    for _ in range(3):
        assert served(certificates, "one.test") == leaf(ONE)
    assert caplog.text.count("is not the key of this certificate") == 1
    (tmp_path / "one.test.key").write_bytes(other[1])
    assert served(certificates, "one.test") == leaf(other)


FAULTS = {
    "expired": (*issue("bad.test", days=(-20, -10)), "has expired"),
    "early": (*issue("bad.test", days=(10, 20)), "is valid only from"),
    "other name": (*ONE, "is for one.test, not for bad.test"),
    "other key": (ONE[0], WILD[1], "is not the key of this certificate"),
    "no key": (ONE[0], None, "its key is missing"),
    "no certificate": (b"hello", ONE[1], "there is no certificate in it"),
    "damaged": (ONE[0].replace(b"M", b"A", 3), ONE[1], "bad.test.pem: "),
    "damaged key": (ONE[0], b"hello", "cannot be used"),
    "huge": (b"x" * 300_000, ONE[1], "is over"),
    "soon": (*issue("bad.test", days=(-20, 2)), "expires on"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_told_by_file_and_stops_nobody(
    fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chain, key, sentence = FAULTS[fault]
    (tmp_path / "bad.test.pem").write_bytes(chain)
    if key is not None:
        (tmp_path / "bad.test.key").write_bytes(key)
    write(tmp_path, "one.test", ONE)
    certificates = Certificates(tmp_path)
    assert served(certificates, "one.test") == leaf(ONE)
    served(certificates, "bad.test")
    served(certificates, "bad.test")
    (record,) = caplog.records
    assert str(tmp_path / "bad.test.pem") in record.message
    assert sentence in record.message
    assert b"PRIVATE" not in record.message.encode()
    if fault != "soon":
        (state,) = certificates.check()
        assert (state.name, sentence in (state.fault or "")) == ("bad.test", True)


def test_what_does_not_fit_is_not_put(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    for name, chain, key in (
        ("one.test", ONE[0], WILD[1]),
        ("one.test", b"", b""),
        ("one.test", *WILD),
        ("../one.test", *ONE),
        ("*", *ONE),
        ("One.test", *ONE),
    ):
        with pytest.raises(BadCertificate) as caught:
            certificates.put(name, chain, key)
        assert str(tmp_path) not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_memory_is_bounded(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path, f"n{number}.test", ONE)
    certificates = Certificates(tmp_path, contexts_max=3)
    for number in range(6):
        assert served(certificates, f"n{number}.test") == leaf(ONE)
        assert len(certificates) <= 3
    for unknown in range(20):
        served(certificates, f"unknown{unknown}.test")
    assert len(certificates) == 3


def test_no_directory_and_no_authorities_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match="is no directory"):
        Certificates(tmp_path / "none")
    with pytest.raises(BadCertificate, match="client_ca"):
        Certificates(tmp_path, client_ca=tmp_path / "none.pem")


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-./*_\0A\xe9", max_size=30)


@given(names)
def test_no_name_leads_out_of_the_directory(name: str) -> None:
    certificates = Certificates("/proc/self")
    for candidate in certificates._candidates(name):
        assert "/" not in candidate
        assert not candidate.startswith(".")
        assert "\0" not in candidate


def test_facts_are_those_that_others_read() -> None:
    for pair in (ONE, WILD, issue("a.test", "b.test", "10.0.0.1", days=(-9000, 20_000))):
        found = read_certificate(pair[0])
        theirs = x509.load_pem_x509_certificate(pair[0])
        listed = theirs.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(found.names) == listed.get_values_for_type(x509.DNSName)
        assert found.not_before_s == theirs.not_valid_before_utc.timestamp()
        assert found.not_after_s == theirs.not_valid_after_utc.timestamp()


@given(st.data())
def test_damaged_certificates_are_a_sentence_or_facts(data: st.DataObject) -> None:
    der = bytearray(leaf(ONE))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(der)))
    pem = ssl.DER_cert_to_PEM_cert(bytes(der[:cut]))
    with contextlib.suppress(ValueError):
        read_certificate(pem.encode())
