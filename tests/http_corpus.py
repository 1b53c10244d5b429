"""Raw requests and what must become of them: the corpus of the strictness tests.

Each case is bytes as a client sends them, and the reason why. Behind its bytes the tests send one
more request, `AFTER`, on the same connection: it must be answered as itself or not at all, never
from bytes that somebody hid. `case.test` stands for a host that has a rule of its own.

`answers`  the statuses that the client sees, those of AFTER apart
`seen`     how many requests the backend sees whole, AFTER apart
`ends`     the connection ends before AFTER is read
`broken`   the fault is in the body: the backend may have seen a head, never a whole request
`eof`      the client finishes sending behind its bytes; there is no AFTER
`absent`   names that no request at the backend has; "trailer x" for x among its trailers
`body`     the body that the first request at the backend has
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AFTER", "CASES", "Case"]

AFTER = b"GET /after HTTP/1.1\r\nHost: case.test\r\nConnection: close\r\n\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: case.test\r\n\r\n"


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    why: str
    answers: tuple[int, ...] = (200,)
    seen: int = 1
    ends: bool = False
    broken: bool = False
    eof: bool = False
    absent: tuple[bytes, ...] = ()
    body: bytes | None = None


CASES: list[Case] = []


def taken(name: str, data: bytes, why: str, seen: int = 1, **more: object) -> None:
    CASES.append(Case(name, data, why, (200,) * seen, seen, **more))  # type: ignore[arg-type]


def refused(name: str, data: bytes, why: str, status: int = 400) -> None:
    CASES.append(Case(name, data, why, (status,), 0, ends=True))


def broken(name: str, body: bytes, why: str) -> None:
    CASES.append(Case(name, chunked(body), why, (400,), 0, ends=True, broken=True))


def cut(name: str, data: bytes, why: str) -> None:
    CASES.append(Case(name, data, why, (), 0, ends=True, eof=True))


def request(fields: bytes = b"", line: bytes = b"GET / HTTP/1.1", body: bytes = b"") -> bytes:
    """A request with Host; `fields` are whole lines."""
    return line + b"\r\nHost: case.test\r\n" + fields + b"\r\n" + body


def post(fields: bytes, body: bytes = b"hello") -> bytes:
    return request(fields, b"POST / HTTP/1.1", body)


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n", body)


LINE = "RFC 9112 section 3: METHOD SP TARGET SP VERSION CRLF, nothing else"
ENDS = "RFC 9112 section 2.2: lines end in CR LF; what takes less splits requests elsewhere"
GRAMMAR = "RFC 9112 section 5: field-name is a token, directly before its colon"
VALUE = "RFC 9110 section 5.5: no CR, LF, NUL or other control in a value"
ONE_LENGTH = (
    "RFC 9112 section 6.3: a Content-Length that is no plain number, or several, is an error"
)
ONE_FRAMING = "RFC 9112 section 6.1: Transfer-Encoding and Content-Length together are an attack"
CODING = "RFC 9112 section 6.1: a coding that is not understood leaves the body's end unknown"
HOST = "RFC 9112 section 3.2: exactly one Host, which is uri-host [ : port ]"
CHUNK = "RFC 9112 section 7.1: chunk-size is hexadecimal digits, then an extension or CR LF"
TRAILER = "RFC 9110 section 6.5.1: framing and routing fields do not stand in trailers"
HOP = "RFC 9110 section 7.6.1: fields that Connection names end here; framing stays as it is"
UPGRADE = "RFC 9110 section 7.8: Upgrade counts with Connection alone, and may be ignored"
PIPELINE = "RFC 9112 section 9.3.2: answers come in the order of their requests"

# Request lines.
taken("plain", request(), "the plainest request")
taken("query", request(line=b"GET /a?b=c&d HTTP/1.1"), LINE)
taken("own method", request(line=b"PURGE / HTTP/1.1"), "RFC 9110 section 16.1: any token")
taken("method case", request(line=b"get / HTTP/1.1"), "RFC 9110 section 9.1: case counts")
taken("options star", request(line=b"OPTIONS * HTTP/1.1"), "RFC 9112 section 3.2.4")
taken("slashes", request(line=b"GET //a//../b HTTP/1.1"), "a path is the backend's to read")
taken("percent", request(line=b"GET /%00%0d%0a%zz HTTP/1.1"), "escapes are the backend's to read")
taken("empty line before", b"\r\n" + request(), "RFC 9112 section 2.2: one is ignored")
refused("two empty lines before", b"\r\n\r\n" + request(), ENDS)
refused("cr before", b"\r" + request(), ENDS)
refused("cr and a letter before", b"\rX" + request(), ENDS)
refused("lf before", b"\n" + request(), ENDS)
refused("blank before", b" " + request(), LINE)
refused("nul before", b"\0" + request(), LINE)
for title, line in {
    "two blanks": b"GET  / HTTP/1.1",
    "tab for blank": b"GET\t/ HTTP/1.1",
    "tab after target": b"GET /\tHTTP/1.1",
    "form feed": b"GET\x0c/ HTTP/1.1",
    "blank in target": b"GET /a b HTTP/1.1",
    "blank at the end": b"GET / HTTP/1.1 ",
    "no target": b"GET HTTP/1.1",
    "no version": b"GET /",
    "no method": b" / HTTP/1.1",
    "only a method": b"GET",
    "small version": b"GET / http/1.1",
    "long version": b"GET / HTTP/1.10",
    "zeros in version": b"GET / HTTP/01.1",
    "comma in version": b"GET / HTTP/1,1",
    "no minor": b"GET / HTTP/1",
    "other protocol": b"GET / HTTPS/1.1",
    "icap": b"GET / ICAP/1.0",
    "paren in method": b"G(T / HTTP/1.1",
    "nul in method": b"G\0T / HTTP/1.1",
    "high bit in method": b"G\xc9T / HTTP/1.1",
    "colon in method": b"GET: / HTTP/1.1",
    "nul in target": b"GET /a\0b HTTP/1.1",
    "control in target": b"GET /a\x01b HTTP/1.1",
    "delete in target": b"GET /a\x7fb HTTP/1.1",
    "high bit in target": b"GET /\xc3\xa9 HTTP/1.1",
    "fragment": b"GET /a#b HTTP/1.1",
    "cr in target": b"GET /a\rb HTTP/1.1",
    "lf in target": b"GET /a\nb HTTP/1.1",
    "relative target": b"GET a/b HTTP/1.1",
    "authority for GET": b"GET case.test:80 HTTP/1.1",
    "small connect": b"connect case.test:80 HTTP/1.1",
    "star for GET": b"GET * HTTP/1.1",
    "options query star": b"OPTIONS *?a HTTP/1.1",
    "smuggled by space": b"GET / HTTP/1.1 GET /hidden HTTP/1.1",
}.items():
    refused(f"line: {title}", request(line=line), LINE)
refused("line: bare lf", b"GET / HTTP/1.1\nHost: case.test\r\n\r\n", ENDS)
refused("line: bare cr", b"GET / HTTP/1.1\rHost: case.test\r\n\r\n", ENDS)
refused("line: cr cr lf", b"GET / HTTP/1.1\r\r\nHost: case.test\r\n\r\n", ENDS)
refused("version 2", request(line=b"GET / HTTP/2.0"), "RFC 9110 section 15.6.6", 505)
refused("version 1.2", request(line=b"GET / HTTP/1.2"), "RFC 9110 section 15.6.6", 505)
refused("version 0.9", request(line=b"GET / HTTP/0.9"), "RFC 9110 section 15.6.6", 505)
refused("h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "RFC 9113 section 3.4", 505)
refused("connect", request(line=b"CONNECT case.test:80 HTTP/1.1"), "we are no tunnel", 501)
refused("long target", request(line=b"GET /" + b"a" * 8000 + b" HTTP/1.1"), "our bound", 414)
taken("target at its bound", request(line=b"GET /" + b"a" * 7999 + b" HTTP/1.1"), "our bound")
refused("tls hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", LINE)
refused("proxy protocol", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + request(), LINE)
refused("nothing", b"\r\n\r\n", LINE)
refused("nuls", b"\0" * 64, LINE)

# The target as a URL.
ABSOLUTE = "RFC 9112 section 3.2: Host is the target's authority, byte for byte"
taken("url", request(line=b"GET http://case.test/a HTTP/1.1"), ABSOLUTE)
taken("url without a path", request(line=b"GET http://case.test HTTP/1.1"), ABSOLUTE)
taken("url with a query", request(line=b"GET http://case.test?a HTTP/1.1"), ABSOLUTE)
taken("url in capitals", request(line=b"GET HTTP://CASE.TEST/ HTTP/1.1"), ABSOLUTE)
for title, line in {
    "other host": b"GET http://other.test/ HTTP/1.1",
    "other port": b"GET http://case.test:81/ HTTP/1.1",
    "user": b"GET http://user@case.test/ HTTP/1.1",
    "host as user": b"GET http://case.test@other.test/ HTTP/1.1",
    "no host": b"GET http:///a HTTP/1.1",
    "other scheme": b"GET ftp://case.test/ HTTP/1.1",
    "no scheme": b"GET ://case.test/ HTTP/1.1",
    "backslash": b"GET http://case.test\\@other.test/ HTTP/1.1",
}.items():
    refused(f"url: {title}", request(line=line), ABSOLUTE)
refused("url without Host", b"GET http://case.test/ HTTP/1.1\r\n\r\n", HOST)

# Host.
taken("host in capitals", b"GET / HTTP/1.1\r\nHOST: CASE.TEST\r\n\r\n", HOST)
taken("host with a port", b"GET / HTTP/1.1\r\nHost: case.test:8080\r\n\r\n", HOST)
taken("host with an empty port", b"GET / HTTP/1.1\r\nHost: case.test:\r\n\r\n", HOST)
taken("host with a dot", b"GET / HTTP/1.1\r\nHost: case.test.\r\n\r\n", HOST)
taken("host in blanks", b"GET / HTTP/1.1\r\nHost: \t case.test \t\r\n\r\n", HOST)
refused("no host", b"GET / HTTP/1.1\r\n\r\n", HOST)
refused("host twice", request(b"Host: case.test\r\n"), HOST)
refused("two hosts", request(b"Host: other.test\r\n"), HOST)
refused("host twice, first odd", b"GET / HTTP/1.1\r\nhost: a\r\nHOST: case.test\r\n\r\n", HOST)
for title, value in {
    "empty": b"",
    "blanks": b"   ",
    "list": b"case.test, other.test",
    "two words": b"case.test other.test",
    "path": b"case.test/a",
    "user": b"user@case.test",
    "scheme": b"http://case.test",
    "port letters": b"case.test:http",
    "port minus": b"case.test:-1",
    "port too large": b"case.test:65536",
    "port of six digits": b"case.test:000080",
    "two ports": b"case.test:80:80",
    "two dots": b"case.test..",
    "dots inside": b"case..test",
    "dot first": b".case.test",
    "only a dot": b".",
    "percent": b"case%2etest",
    "nul": b"case.test\0.other.test",
    "high bit": b"case\xe9.test",
    "quotes": b'"case.test"',
    "backslash": b"case.test\\a",
    "question": b"case.test?a",
    "open bracket": b"[::1",
    "bracket with letters": b"[case.test]",
    "no address": b"[.]",
    "many colons": b"[:::::]",
    "zone": b"[fe80::1%25eth0]",
}.items():
    refused(f"host: {title}", b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n", HOST)

# Fields.
taken("empty value", request(b"X-A:\r\n"), "RFC 9110 section 5.5: a value may be empty")
taken("blank value", request(b"X-A: \t \r\n"), "RFC 9110 section 5.5: blanks around are no value")
taken("obs-text", request(b"X-A: caf\xc3\xa9\xff\r\n"), "RFC 9110 section 5.5: opaque, allowed")
taken("odd token", request(b"!#$%&'*+-.^_`|~: 1\r\n"), "RFC 9110 section 5.6.2: all of these")
taken("same field twice", request(b"X-A: 1\r\nX-A: 2\r\n"), "RFC 9110 section 5.3: a list")
taken("underscores", request(b"X_A: 1\r\n"), "RFC 9110 section 5.6.2: a token like another")
taken("127 fields", request(b"X-A: 1\r\n" * 127), "our bound is 128 with Host")
refused("129 fields", request(b"X-A: 1\r\n" * 128), "RFC 6585 section 5", 431)
refused("large head", request(b"X-A: " + b"a" * 66_000 + b"\r\n"), "RFC 6585 section 5", 431)
for title, field in {
    "blank before colon": b"X-A : 1\r\n",
    "tab before colon": b"X-A\t: 1\r\n",
    "blank in name": b"X A: 1\r\n",
    "no colon": b"X-A\r\n",
    "no name": b": 1\r\n",
    "nul in name": b"X\0A: 1\r\n",
    "control in name": b"X\x0bA: 1\r\n",
    "paren in name": b"X(A): 1\r\n",
    "high bit in name": b"X\xe9: 1\r\n",
    "quotes in name": b'"X": 1\r\n',
    "slash in name": b"X/A: 1\r\n",
    "length with a blank": b"Content-Length : 5\r\n",
    "length with a control": b"Content-Length\x0b: 5\r\n",
    "coding with a blank": b"Transfer-Encoding : chunked\r\n",
    "coding with a nul": b"Transfer-Encoding\0: chunked\r\n",
}.items():
    refused(f"name: {title}", request(field), GRAMMAR)
for title, field in {
    "nul": b"X-A: a\0b\r\n",
    "bell": b"X-A: a\x07b\r\n",
    "vertical tab": b"X-A: a\x0bb\r\n",
    "form feed": b"X-A: a\x0cb\r\n",
    "escape": b"X-A: a\x1bb\r\n",
    "delete": b"X-A: a\x7fb\r\n",
    "bare cr": b"X-A: a\rb\r\n",
    "cr cr lf": b"X-A: a\r\r\n",
    "bare lf": b"X-A: a\nb: c\r\n",
    "coding behind a cr": b"X-A: a\rTransfer-Encoding: chunked\r\n",
    "coding behind a lf": b"X-A: a\nTransfer-Encoding: chunked\r\n",
    "length behind a lf": b"X-A: a\nContent-Length: 5\r\n",
}.items():
    refused(f"value: {title}", request(field), VALUE)
FOLD = "RFC 9112 section 5.2: a server refuses folded lines"
refused("fold by a blank", request(b"X-A: a\r\n b\r\n"), FOLD)
refused("fold by a tab", request(b"X-A: a\r\n\tb\r\n"), FOLD)
refused("fold in the first line", b"GET / HTTP/1.1\r\n Host: case.test\r\n\r\n", FOLD)
refused("folded coding", request(b"Transfer-Encoding:\r\n chunked\r\n"), FOLD)
refused("coding as a fold", request(b"X-A: a\r\n Transfer-Encoding: chunked\r\n"), FOLD)
refused("a blank line that is not", request(b"X-A: a\r\n \r\n"), FOLD)
refused("head of lf", b"GET / HTTP/1.1\nHost: case.test\n\n", ENDS)
refused("last line of lf", b"GET / HTTP/1.1\r\nHost: case.test\n\r\n", ENDS)
refused("blank line of lf", b"GET / HTTP/1.1\r\nHost: case.test\r\n\n", ENDS)

# Content-Length.
LENGTH = b"Content-Length: 5\r\n"
taken("length", post(LENGTH), "RFC 9112 section 6.3", body=b"hello")
taken("length in blanks", post(b"Content-Length: \t5 \t\r\n"), ONE_LENGTH, body=b"hello")
taken("length with zeros", post(b"Content-Length: 005\r\n"), "1*DIGIT", body=b"hello")
taken("length for GET", request(LENGTH, body=b"hello"), "RFC 9110 section 9.3.1", body=b"hello")
taken("length 0", post(b"Content-Length: 0\r\n", b""), "RFC 9112 section 6.3", body=b"")
taken("post without a body", post(b"", b""), "RFC 9112 section 6.3: none given is none", body=b"")
taken(
    "a request as a body",
    post(b"Content-Length: %d\r\n" % len(HIDDEN), HIDDEN),
    "RFC 9112 section 6.3: what is counted is body",
    body=HIDDEN,
)
taken("body behind length 0", post(b"Content-Length: 0\r\n", HIDDEN), PIPELINE, 2)
for title, fields in {
    "twice": LENGTH * 2,
    "two": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "two in two cases": b"Content-Length: 5\r\ncontent-LENGTH: 0\r\n",
    "list": b"Content-Length: 5, 5\r\n",
    "list of two": b"Content-Length: 0, 5\r\n",
    "plus": b"Content-Length: +5\r\n",
    "minus": b"Content-Length: -5\r\n",
    "minus 0": b"Content-Length: -0\r\n",
    "hexadecimal": b"Content-Length: 0x5\r\n",
    "octal": b"Content-Length: 0o5\r\n",
    "underscore": b"Content-Length: 0_5\r\n",
    "two numbers": b"Content-Length: 5 5\r\n",
    "empty": b"Content-Length:\r\n",
    "point": b"Content-Length: 5.0\r\n",
    "exponent": b"Content-Length: 5e0\r\n",
    "semicolon": b"Content-Length: 5;\r\n",
    "quotes": b'Content-Length: "5"\r\n',
    "letters": b"Content-Length: five\r\n",
    "arabic digit": b"Content-Length: \xd9\xa5\r\n",
    "superscript": b"Content-Length: \xb2\r\n",
    "sixteen digits": b"Content-Length: 1000000000000000\r\n",
    "past 64 bits": b"Content-Length: 18446744073709551621\r\n",
    "past 32 bits, wrapped": b"Content-Length: 000000000004294967301\r\n",
    "thousand digits": b"Content-Length: " + b"9" * 1000 + b"\r\n",
}.items():
    refused(f"length: {title}", post(fields), ONE_LENGTH)
UNDERSCORE = "RFC 3875 section 4.1.18: to CGI and WSGI, - and _ are one; framing must not differ"
refused("length with an underscore", post(b"Content_Length: 5\r\n"), UNDERSCORE)
refused("coding with an underscore", post(b"Transfer_Encoding: chunked\r\n"), UNDERSCORE)
refused("both spellings", post(LENGTH + b"Content_Length: 0\r\n"), UNDERSCORE)
refused("huge body", post(b"Content-Length: 999999999999999\r\n"), "RFC 9110 section 15.5.14", 413)

# Transfer-Encoding.
END = b"0\r\n\r\n"
BODY = b"5\r\nhello\r\n" + END
taken("chunked", chunked(BODY), CHUNK, body=b"hello")
taken("chunked in capitals", post(b"TRANSFER-ENCODING: CHUNKED\r\n", BODY), CODING, body=b"hello")
taken("chunked in blanks", post(b"Transfer-Encoding: \tchunked \r\n", BODY), CODING, body=b"hello")
taken("chunked for GET", request(b"Transfer-Encoding: chunked\r\n", body=BODY), CHUNK)
taken("empty chunked", chunked(END), CHUNK, body=b"")
taken(
    "a request in a chunk",
    chunked(b"%x\r\n%b\r\n" % (len(HIDDEN), HIDDEN) + END),
    CHUNK,
    body=HIDDEN,
)
for title, fields in {
    "cl te": LENGTH + b"Transfer-Encoding: chunked\r\n",
    "te cl": b"Transfer-Encoding: chunked\r\n" + LENGTH,
    "cl 0 te": b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    "te twice": b"Transfer-Encoding: chunked\r\n" * 2,
    "te cl in connection": b"Connection: content-length\r\n"
    + LENGTH
    + b"Transfer-Encoding: chunked\r\n",
    "te in connection": b"Connection: transfer-encoding\r\n"
    + LENGTH
    + b"Transfer-Encoding: chunked\r\n",
}.items():
    refused(f"framing: {title}", post(fields, BODY), ONE_FRAMING)
refused(
    "te in HTTP/1.0",
    request(b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0", BODY),
    "RFC 9112 section 6.1: HTTP/1.0 has none; such framing is faulty",
)
for title, value in {
    "identity": b"identity",
    "gzip": b"gzip",
    "gzip, chunked": b"gzip, chunked",
    "chunked, gzip": b"chunked, gzip",
    "chunked, identity": b"chunked, identity",
    "identity, chunked": b"identity, chunked",
    "chunked, chunked": b"chunked, chunked",
    "comma behind": b"chunked,",
    "comma before": b", chunked",
    "parameter": b"chunked;q=1",
    "quotes": b'"chunked"',
    "letter before": b"xchunked",
    "letter behind": b"chunkedx",
    "high bit": b"chun\xabed",
    "kelvin sign": b"chun\xe2\x84\xaaed",
    "blank inside": b"chun ked",
    "no-break space": b"\xa0chunked",
    "empty": b"",
}.items():
    refused(f"te: {title}", post(b"Transfer-Encoding: " + value + b"\r\n", BODY), CODING, 501)
for title, value in {
    "vertical tab": b"\x0bchunked",
    "nul": b"chunked\0",
    "cr": b"\rchunked",
}.items():
    refused(f"te: {title}", post(b"Transfer-Encoding: " + value + b"\r\n", BODY), VALUE)
refused(
    "te: identity, then chunked",
    post(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", BODY),
    CODING,
    501,
)

# Chunks.
for title, chunks, body in (
    ("capitals", b"A\r\n0123456789\r\n" + END, b"0123456789"),
    ("zeros", b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
    ("two", b"2\r\nhe\r\n3\r\nllo\r\n" + END, b"hello"),
    ("line ends inside", b"4\r\n\r\n\r\n\r\n" + END, b"\r\n\r\n"),
    ("extension", b"5;a\r\nhello\r\n" + END, b"hello"),
    ("extension with a value", b"5;a=b;c\r\nhello\r\n0;d\r\n\r\n", b"hello"),
    ("extension in quotes", b'5;a="b c;\t"\r\nhello\r\n' + END, b"hello"),
    ("trailer", b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", b"hello"),
):
    taken(f"chunk: {title}", chunked(chunks), CHUNK, body=body)
for title, chunks in {
    "0x": b"0x5\r\nhello\r\n" + END,
    "plus": b"+5\r\nhello\r\n" + END,
    "minus": b"-5\r\nhello\r\n" + END,
    "minus 0": b"-0\r\n\r\n",
    "blank before": b" 5\r\nhello\r\n" + END,
    "blank behind": b"5 \r\nhello\r\n" + END,
    "tab behind": b"5\t\r\nhello\r\n" + END,
    "underscore": b"0_5\r\nhello\r\n" + END,
    "no size": b"\r\nhello\r\n" + END,
    "no hexadecimal": b"g\r\nhello\r\n" + END,
    "h": b"5h\r\nhello\r\n" + END,
    "nul": b"5\0\r\nhello\r\n" + END,
    "high bit": b"\xb2\r\nhello\r\n" + END,
    "nine digits": b"100000000\r\nhello\r\n" + END,
    "past 64 bits": b"10000000000000005\r\nhello\r\n" + END,
    "many zeros": b"0" * 5000 + b"\r\n\r\n",
    "lf behind size": b"5\nhello\r\n" + END,
    "cr behind size": b"5\rhello\r\n" + END,
    "cr cr lf": b"5\r\r\nhello\r\n" + END,
    "lf behind data": b"5\r\nhello\n" + END,
    "cr behind data": b"5\r\nhello\r" + END,
    "nothing behind data": b"5\r\nhello" + END,
    "two letters behind data": b"5\r\nhelloXX" + END,
    "longer than said": b"5\r\nhello!\r\n" + END,
    "shorter than said": b"6\r\nhello\r\n" + END,
    "semicolon alone": b"5;\r\nhello\r\n" + END,
    "blank before semicolon": b"5 ;a\r\nhello\r\n" + END,
    "lf in extension": b"5;a\nhello\r\n" + END,
    "lf in extension of the last": b"5\r\nhello\r\n0;a\n\r\n\r\n",
    "cr in extension": b"5;a\rb\r\nhello\r\n" + END,
    "lf in quotes": b'5;a="\n"\r\nhello\r\n' + END,
    "open quotes": b'5;a="b\r\nhello\r\n' + END,
    "nul in extension": b"5;a\0\r\nhello\r\n" + END,
    "long extension": b"5;" + b"a" * 5000 + b"\r\nhello\r\n" + END,
    "many long extensions": (b"1;" + b"a" * 4000 + b"\r\nx\r\n") * 80 + END,
    "lf behind the last": b"5\r\nhello\r\n0\n\r\n",
    "lf at the end": b"5\r\nhello\r\n0\r\n\n",
    "cr at the end": b"5\r\nhello\r\n0\r\n\rX",
    "a length for a chunk": b"5, 5\r\nhello\r\n" + END,
}.items():
    broken(f"chunk: {title}", chunks, CHUNK)
for title, lines in {
    "host": b"Host: other.test\r\n",
    "claim": b"X-Forwarded-For: 1.2.3.4\r\n",
    "claim with underscores": b"X_Forwarded_For: 1.2.3.4\r\n",
}.items():
    taken(
        f"trailer: {title}",
        chunked(b"5\r\nhello\r\n0\r\n" + lines + b"\r\n"),
        TRAILER,
        body=b"hello",
        absent=(b"trailer " + lines.partition(b":")[0].lower(),),
    )
for title, lines in {
    "length": b"Content-Length: 5\r\n",
    "coding": b"Transfer-Encoding: chunked\r\n",
    "connection": b"Connection: close\r\n",
    "length with an underscore": b"Content_Length: 5\r\n",
    "fold": b"X-T: a\r\n b\r\n",
    "no colon": b"X-T\r\n",
    "blank before colon": b"X-T : 1\r\n",
    "nul": b"X-T: \0\r\n",
    "lf": b"X-T: 1\nX-U: 2\r\n",
    "too many": b"X-T: " + b"a" * 1000 + b"\r\n" + (b"X-T: " + b"a" * 1000 + b"\r\n") * 17,
    "request": b"GET /hidden HTTP/1.1\r\n",
}.items():
    broken(f"trailer: {title}", b"5\r\nhello\r\n0\r\n" + lines + b"\r\n", CHUNK)

# Connection, and fields that end here.
for title, fields, absent in (
    ("close", b"Connection: close\r\n", (b"connection",)),
    ("keep-alive, close", b"Connection: keep-alive, close\r\n", (b"connection",)),
    ("two lines", b"Connection: keep-alive\r\nConnection: close\r\n", (b"connection",)),
):
    taken(f"connection: {title}", request(fields, body=HIDDEN), HOP, ends=True, absent=absent)
for title, fields, gone in (
    ("keep-alive", b"Connection: keep-alive\r\nKeep-Alive: 5\r\n", (b"connection", b"keep-alive")),
    ("names a field", b"Connection: x-a\r\nX-A: 1\r\n", (b"connection", b"x-a")),
    ("names ours", b"Connection: x-forwarded-for\r\nX-Forwarded-For: 1\r\n", (b"connection",)),
    ("names host", b"Connection: host\r\n", (b"connection",)),
    ("odd options", b'Connection: (, ",;\x80\r\n', (b"connection",)),
    ("a pattern", b"Connection: .*, x-.*\r\nX-A: 1\r\n", (b"connection",)),
    (
        "proxy fields",
        b"Proxy-Connection: a\r\nProxy-Authorization: b\r\n",
        (b"proxy-connection", b"proxy-authorization"),
    ),
    (
        "http2 settings",
        b"Connection: http2-settings\r\nHTTP2-Settings: a\r\n",
        (b"http2-settings",),
    ),
):
    taken(f"connection: {title}", request(fields), HOP, absent=gone)
taken(
    "connection: names length", post(b"Connection: content-length\r\n" + LENGTH), HOP, body=b"hello"
)
taken(
    "connection: names coding",
    post(b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", BODY),
    HOP,
    body=b"hello",
)
for title, fields in {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "h2c second": b"Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
    "h2c in two lines": b"Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: H2C\r\n",
    "tls": b"Connection: upgrade\r\nUpgrade: TLS/1.2\r\n",
    "http/2": b"Connection: upgrade\r\nUpgrade: HTTP/2.0\r\n",
    "not in connection": b"Upgrade: websocket\r\n",
    "option alone": b"Connection: upgrade\r\n",
}.items():
    taken(f"upgrade: {title}", request(fields), UPGRADE, absent=(b"upgrade", b"http2-settings"))
taken(
    "upgrade: not taken", request(b"Connection: upgrade\r\nUpgrade: x\r\n", body=HIDDEN), UPGRADE, 2
)
taken(
    "upgrade: with a body",
    post(b"Connection: upgrade\r\nUpgrade: websocket\r\n" + LENGTH),
    UPGRADE,
    body=b"hello",
    absent=(b"upgrade",),
)
taken(
    "upgrade: in HTTP/1.0",
    request(b"Connection: upgrade, keep-alive\r\nUpgrade: x\r\n", b"GET / HTTP/1.0"),
    UPGRADE,
    absent=(b"upgrade",),
)
CLAIMS = "what a client says of its own way here is not believed"
for name in (
    b"X-Forwarded-For",
    b"x_forwarded_for",
    b"X-Forwarded_Host",
    b"Forwarded",
    b"X-Real-IP",
):
    hidden: tuple[bytes, ...] = () if name == b"X-Forwarded-For" else (name.lower(),)
    taken(f"claim: {name.decode()}", request(name + b": 6.6.6.6\r\n"), CLAIMS, absent=hidden)

# HTTP/1.0.
OLD = b"GET / HTTP/1.0"
taken("1.0", request(line=OLD), "RFC 9112 section 9.3: closes by default", ends=True)
taken("1.0 kept", request(b"Connection: keep-alive\r\n", OLD), "RFC 9112 section 9.3")
taken("1.0 both", request(b"Connection: keep-alive, close\r\n", OLD), "close wins", ends=True)
taken(
    "1.0 with a body",
    request(LENGTH, b"POST / HTTP/1.0", b"hello"),
    "RFC 1945",
    ends=True,
    body=b"hello",
)
taken("1.0 by url", b"GET http://case.test/ HTTP/1.0\r\n\r\n", ABSOLUTE, ends=True)
refused("1.0 two hosts", request(b"Host: case.test\r\n", OLD), HOST)
CASES.append(
    Case("1.0 no host", b"GET / HTTP/1.0\r\n\r\n", "no host, no rule", (503,), 0, ends=True)
)

# Expect.
# Whether a backend hears of it depends on who says 100: not compared.
EXPECT = "RFC 9110 section 10.1.1"
EXPECTS = b"Expect: 100-continue\r\n"
taken("expect", post(EXPECTS + LENGTH), EXPECT, body=b"hello")
taken("expect in capitals", post(b"EXPECT: 100-CONTINUE\r\n" + LENGTH), EXPECT)
taken("expect twice", post(EXPECTS * 2 + LENGTH), EXPECT)
taken(
    "expect chunked", post(EXPECTS + b"Transfer-Encoding: chunked\r\n", BODY), EXPECT, body=b"hello"
)
taken("expect without a body", request(EXPECTS), EXPECT)
taken("expect in 1.0", request(EXPECTS + LENGTH, b"POST / HTTP/1.0", b"hello"), EXPECT, ends=True)
for title, value in {
    "other": b"x",
    "empty": b"",
    "list": b"100-continue, x",
    "y behind": b"100-continuey",
    "obfuscated": b"y 100-continue",
}.items():
    refused(f"expect: {title}", post(b"Expect: " + value + b"\r\n" + LENGTH), EXPECT, 417)

# Methods with rules of their own.
taken("trace", request(line=b"TRACE / HTTP/1.1"), "RFC 9110 section 9.3.8")
refused(
    "trace with a body", request(LENGTH, b"TRACE / HTTP/1.1", b"hello"), "RFC 9110 section 9.3.8"
)
taken("head", request(line=b"HEAD / HTTP/1.1"), "RFC 9110 section 9.3.2")
taken(
    "head with a body",
    request(LENGTH, b"HEAD / HTTP/1.1", b"hello"),
    "its body is read",
    body=b"hello",
)
taken(
    "delete with a body",
    request(LENGTH, b"DELETE / HTTP/1.1", b"hello"),
    "its body is read",
    body=b"hello",
)

# One after the other.
taken("two", request() * 2, PIPELINE, 2)
taken("twenty", request() * 20, PIPELINE, 20)
taken("post, get", post(LENGTH) + request(), PIPELINE, 2)
taken("chunked, get", chunked(BODY) + request(), PIPELINE, 2)
taken("head, get", request(line=b"HEAD / HTTP/1.1") + request(), PIPELINE, 2)
taken("empty line between", post(LENGTH) + b"\r\n" + request(), "RFC 9112 section 2.2", 2)
CASES += [
    Case("get, bad", request() + request(b"X : 1\r\n"), PIPELINE, (200, 400), 1, ends=True),
    Case(
        "two, framing",
        request() + post(LENGTH + b"Transfer-Encoding: chunked\r\n", BODY),
        ONE_FRAMING,
        (200, 400),
        1,
        ends=True,
    ),
    Case(
        "chunked, bare lf",
        chunked(BODY) + b"GET / HTTP/1.1\nHost: case.test\r\n\r\n",
        ENDS,
        (200, 400),
        1,
        ends=True,
    ),
]

# The client leaves in the middle.
EARLY = "RFC 9112 section 8: an incomplete message is none"
cut("eof in the line", b"GET / HT", EARLY)
cut("eof behind the line", b"GET / HTTP/1.1\r\n", EARLY)
cut("eof in a field", b"GET / HTTP/1.1\r\nHost: case.t", EARLY)
cut("eof before the blank line", b"GET / HTTP/1.1\r\nHost: case.test\r\n", EARLY)
cut("eof in the blank line", b"GET / HTTP/1.1\r\nHost: case.test\r\n\r", EARLY)
cut("eof before the body", post(LENGTH, b""), EARLY)
cut("eof in the body", post(LENGTH, b"hell"), EARLY)
cut("eof before chunks", chunked(b""), EARLY)
cut("eof in a size", chunked(b"5"), EARLY)
cut("eof behind a size", chunked(b"5\r\n"), EARLY)
cut("eof in a chunk", chunked(b"5\r\nhel"), EARLY)
cut("eof behind a chunk", chunked(b"5\r\nhello\r\n"), EARLY)
cut("eof in the last", chunked(b"5\r\nhello\r\n0\r\n"), EARLY)
cut("eof in trailers", chunked(b"5\r\nhello\r\n0\r\nX-T: 1\r\n"), EARLY)
