"""What requests say: RFC 9113, 8, with what could become another request in HTTP/1.1."""

from frames import HEADERS, STREAM_CLOSED
from hyperframe.frame import DataFrame, WindowUpdateFrame
from table import case, sent
from talk import FILE, WINDOW, block, fields, raw

MALFORMED = "malformed"


def request(section, name, want, *named, because=None, stream=1):
    """A request without a body whose fields are these, byte by byte."""

    def frames(talk):
        talk.expect(1, dict(named) if (":path", "/target") in named else {})
        return [raw(HEADERS, 5, 1, block(*named))]

    sent(section, name, want, frames, stream, because)


def field(section, name, want, *named, because=None, **pseudo):
    request(section, name, want, *fields(*named, **pseudo), because=because)


def body(section, name, want, length, *frames, because=None):
    """A POST of such a length, and what follows."""

    def all_frames(talk):
        more = [] if length is None else [("content-length", length)]
        data = b"".join(one.data for one in frames if isinstance(one, DataFrame))
        named = fields(*more, method="POST", path="/up")
        talk.expect(1, dict(named), data)
        return [raw(HEADERS, 4, 1, block(*named)), *frames]

    sent(section, name, want, all_frames, 1, because)


def data(text, *flags):
    return DataFrame(1, text, flags=flags)


END = "END_STREAM"
TRAILERS = raw(HEADERS, 5, 1, block(("x-sum", "1")))

# 8.1: a request's parts.

field("8.1", "a GET", "200")
body("8.1", "a POST with DATA in pieces", "200", None, data(b"a"), data(b""), data(b"bc"), data(b"d", END))
body("8.1", "DATA that ends with an empty frame", "200", None, data(b"abc"), data(b"", END))
body("8.1", "trailers", "200", None, data(b"abc"), TRAILERS)
body("8.1", "trailers behind a body of a told length", "200", "3", data(b"abc"), TRAILERS)
body("8.1", "trailers without DATA", "200", None, TRAILERS)
body(
    "8.1",
    "HEADERS in the midst that do not end the stream",
    MALFORMED,
    None,
    data(b"abc"),
    raw(HEADERS, 4, 1, block(("x", "y"))),
    data(b"d", END),
)
body(
    "8.1", "DATA behind trailers", STREAM_CLOSED, None, data(b"abc"), TRAILERS, data(b"d", END)
)


@case("8.1", "HEAD has a length and no DATA", "200, 300000, 0 bytes")
def _(talk):
    talk.send(*talk.request(1, method="HEAD", path="/file"))
    stream = talk.answered(1)
    return f"{stream.status}, {stream.fields['content-length']}, {len(stream.body)} bytes"


@case(
    "8.1",
    "an answer in chunks is DATA, and its trailers are HEADERS",
    "200, 300000 bytes, x-sum: 1",
    settings={WINDOW: 1 << 20},
)
def _(talk):
    talk.send(WindowUpdateFrame(0, 1 << 20), *talk.request(1, path="/chunks"))
    stream = talk.answered(1)
    assert stream.body == FILE and "transfer-encoding" not in stream.fields
    return f"{stream.status}, {len(stream.body)} bytes, x-sum: {stream.trailers.get('x-sum')}"


@case("8.1", "an answer before the request's end, and NO_ERROR for the rest", "413, stream error NO_ERROR")
def _(talk):
    talk.send(*talk.request(1, ("expect", "100-continue"), method="PUT", path="/refuses", end=False))
    stream = talk.streams[1]
    talk.until(lambda: stream.over)
    status, talk.streams[1].over = stream.over, None
    talk.until(lambda: stream.over)
    return f"{status}, {stream.over}"


# 8.1.1: lengths.

body("8.1.1", "less DATA than content-length says", MALFORMED, "10", data(b"abc", END))
body("8.1.1", "more DATA than content-length says", MALFORMED, "2", data(b"abc", END))
body(
    "8.1.1",
    "more DATA than content-length says, in a second frame",
    MALFORMED,
    "3",
    data(b"abc"),
    data(b"d", END),
)
body("8.1.1", "DATA beside a content-length of 0", MALFORMED, "0", data(b"abc", END))
body("8.1.1", "trailers before as much DATA as content-length says", MALFORMED, "10", data(b"abc"), TRAILERS)
field(
    "8.1.1", "content-length of 5, and the end", MALFORMED, ("content-length", "5"), method="POST", path="/up"
)
for value in ("x", "-1", "+3", "3 ", "3,3", "0x3", "18446744073709551619"):
    body("8.1.1", f"content-length `{value}`", MALFORMED, value, data(b"abc", END))
field(
    "8.1.1",
    "two lengths that differ",
    MALFORMED,
    ("content-length", "0"),
    ("content-length", "3"),
    method="POST",
)

# 8.2 and 8.2.1: names and values.

for what, name in (
    ("in upper case", b"X-Upper"),
    ("with a space", b"x y"),
    ("with a colon within", b"x:y"),
    ("with a line's end", b"x\r\ny"),
    ("with NUL", b"x\x00y"),
    ("beyond ASCII", b"x\xffy"),
    ("that is empty", b""),
):
    field("8.2.1", f"a name {what}", MALFORMED, (name, "v"))
for what, value in (
    ("NUL", b"a\x00b"),
    ("CR", b"a\rb"),
    ("LF", b"a\nb"),
    ("CR LF, and another field", b"a\r\nx-other: b"),
    ("CR LF twice, and another request", b"a\r\n\r\nGET /other HTTP/1.1\r\nHost: t\r\n\r\n"),
):
    field("8.2.1", f"a value with {what}", MALFORMED, ("x", value))
for what, value in (
    ("begins with a space", " v"),
    ("ends with a space", "v "),
    ("begins with a tab", "\tv"),
    ("ends with a tab", "v\t"),
):
    field("8.2.1", f"a value that {what}", MALFORMED, ("x", value))
body(
    "8.2.1",
    "a trailer in upper case",
    MALFORMED,
    None,
    data(b"abc"),
    raw(HEADERS, 5, 1, block(("X-Sum", "1"))),
)
body(
    "8.2.1",
    "a trailer with a line's end",
    MALFORMED,
    None,
    data(b"abc"),
    raw(HEADERS, 5, 1, block(("x", "a\r\n\r\nGET / HTTP/1.1"))),
)

# 8.2.2: fields of a connection.

for name, value in (
    ("connection", "close"),
    ("connection", "x"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("transfer-encoding", "chunked"),
    ("upgrade", "h2c"),
    ("te", "gzip"),
    ("te", "trailers, gzip"),
):
    field("8.2.2", f"`{name}: {value}`", MALFORMED, (name, value))
field("8.2.2", "`te: trailers`", "200", ("te", "trailers"))


@case("8.2.2", "`transfer-encoding: chunked`, and chunks as DATA", MALFORMED)
def _(talk):
    named = fields(("transfer-encoding", "chunked"), method="POST", path="/up")
    talk.expect(1, dict(named), b"0\r\n\r\n")
    talk.send(raw(HEADERS, 4, 1, block(*named)), data(b"0\r\n\r\n", END))
    return talk.outcome(1)


@case("8.2.3", "cookies in pieces are one", "a=b; c=d; e=f")
def _(talk):
    talk.send(*talk.request(1, ("cookie", "a=b"), ("cookie", "c=d"), ("cookie", "e=f"), path="/fields"))
    lines = talk.answered(1).body.decode().splitlines()
    return "|".join(line.partition(": ")[2] for line in lines if line.lower().startswith("cookie"))


# 8.3: pseudo-header fields.

GET = fields()
METHOD, SCHEME, PATH, AUTHORITY = GET
request("8.3", "a pseudo-field behind a field", MALFORMED, METHOD, SCHEME, AUTHORITY, ("x", "y"), PATH)
request("8.3", "an unknown pseudo-field", MALFORMED, *GET, (":unknown", "x"))
request("8.3", "a pseudo-field of answers", MALFORMED, *GET, (":status", "200"))
body(
    "8.3",
    "a pseudo-field for a trailer",
    MALFORMED,
    None,
    data(b"abc"),
    raw(HEADERS, 5, 1, block((":path", "/"))),
)
body(
    "8.3",
    ":status for a trailer",
    MALFORMED,
    None,
    data(b"abc"),
    raw(HEADERS, 5, 1, block((":status", "200"))),
)
for name, value in GET:
    request("8.3", f"{name} twice", MALFORMED, *GET, (name, value))
    if name != ":authority":
        without = [one for one in GET if one[0] != name]
        request("8.3.1", f"no {name}", MALFORMED, *without)
request("8.3.1", "no fields at all", MALFORMED)
field("8.3.1", "an empty :path", MALFORMED, path="")
field("8.3.1", "a :path that does not begin with a slash", MALFORMED, path="target")
field("8.3.1", "`*` for a GET", MALFORMED, path="*")
field("8.3.1", "`*` for OPTIONS", "200", method="OPTIONS", path="*")
field("8.3.1", "a :path with a space", MALFORMED, path="/target HTTP/1.1")
field("8.3.1", "a :path with a line's end", MALFORMED, path="/target HTTP/1.1\r\nx: y\r\n\r\nGET /")
field("8.3.1", "a :path with a fragment", f"{MALFORMED} or 200", path="/target#x")
field("8.3.1", "a :path that is a whole address", MALFORMED, path="http://t/target")
field("8.3.1", "an empty :method", MALFORMED, method="")
field("8.3.1", "a :method with a space", MALFORMED, method="GET /other HTTP/1.1")
field("8.3.1", "a :method with a line's end", MALFORMED, method="GET / HTTP/1.1\r\n\r\nGET")
field("8.3.1", "a :scheme with a line's end", MALFORMED, scheme="http\r\nx: y")
field("8.3.1", "an :authority with a user's name", MALFORMED, authority="user@t")
field("8.3.1", "an :authority with a line's end", MALFORMED, authority="t\r\nx: y")
field("8.3.1", "an :authority with a path", MALFORMED, authority="t/other")
field("8.3.1", "an empty :authority", MALFORMED, authority="")
field("8.3.1", "neither :authority nor host", MALFORMED, authority=None)
field("8.3.1", "host instead of :authority", "200", ("host", "t"), authority=None)
field("8.3.1", "host with a user's name instead of :authority", MALFORMED, ("host", "u@t"), authority=None)
field("8.3.1", "two hosts instead of :authority", MALFORMED, ("host", "t"), ("host", "u"), authority=None)
field("8.3.1", "host beside the same :authority", "200", ("host", "t"))


@case("8.3.1", ":authority goes before another host", "t or 400")
def _(talk):
    talk.send(*talk.request(1, ("host", "other"), path="/fields"))
    stream = talk.answered(1)
    if stream.status != "200":
        return stream.over
    lines = stream.body.decode().splitlines()
    return "|".join(line.partition(": ")[2] for line in lines if line.lower().startswith("host:"))


# 8.5: CONNECT, which is not offered but for what RFC 8441 makes of it.

REFUSED = "405 or 501 or 400 or stream error PROTOCOL_ERROR"
request("8.5", "CONNECT", REFUSED, (":method", "CONNECT"), (":authority", "t:80"))
request(
    "8.5",
    "CONNECT with :path and :scheme",
    MALFORMED,
    (":method", "CONNECT"),
    SCHEME,
    PATH,
    (":authority", "t:80"),
)
request("8.5", "CONNECT without :authority", f"{MALFORMED} or {REFUSED}", (":method", "CONNECT"))
request("8.5", ":protocol for a GET (RFC 8441, 4)", MALFORMED, *GET, (":protocol", "websocket"))
request(
    "8.5",
    ":protocol without :path (RFC 8441, 4)",
    MALFORMED,
    (":method", "CONNECT"),
    SCHEME,
    AUTHORITY,
    (":protocol", "websocket"),
)
