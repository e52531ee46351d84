"""Greeting, frames and flow control: RFC 9113, 3 to 7."""

from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from table import case, sent
from talk import (
    ENABLE_PUSH,
    FILE,
    FRAME_SIZE,
    MAX_STREAMS,
    PREFACE,
    TABLE_SIZE,
    WINDOW,
    block,
    fields,
    priority,
    raw,
)

PROTOCOL = "connection error PROTOCOL_ERROR"
SIZE = "connection error FRAME_SIZE_ERROR"
FLOW = "connection error FLOW_CONTROL_ERROR"
COMPRESSION = "connection error COMPRESSION_ERROR"
GOES_ON = "goes on"

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION = range(10)
ASK = block(*fields())

# Requests that stay open at both ends: the first is whole and its answer has no window, the second goes on.
HELD = {WINDOW: 0}


def held(talk):
    talk.send(*talk.request(1, path="/file"))
    talk.until(lambda: talk.streams[1].status)


def open_post(talk, stream=1):
    return talk.request(stream, method="POST", path="/up", end=False)


def closed(talk):
    """A stream that both sides have closed."""
    talk.send(*talk.request(1))
    talk.answered(1)


def reset(talk):
    """A stream that the client has reset."""
    talk.send(*open_post(talk), RstStreamFrame(1, 8))


def after(before):
    """Frames that follow a state."""

    def then(section, name, want, *frames, settings=None, because=None):
        @case(section, name, want, settings=settings, because=because)
        def run(talk):
            before(talk)
            talk.streams.clear()
            talk.send(*frames)
            came = talk.outcome() and talk.outcome()
            resets = [stream.over for stream in talk.streams.values() if stream.over]
            return resets[0] if resets and came == GOES_ON else came

    return then


# 3.4, the greeting.


@case("3.4", "the edge's first frame is SETTINGS", "SETTINGS", greets=False)
def _(talk):
    talk.send(PREFACE, SettingsFrame(0))
    return type(talk.read()).__name__.removesuffix("Frame").upper()


@case("3.4", "a request right behind the greeting, before anything was read", "200", greets=False)
def _(talk):
    talk.send(PREFACE, SettingsFrame(0), *talk.request(1))
    return talk.outcome(1)


@case("3.4", "a greeting byte by byte", "200", greets=False)
def _(talk):
    for byte in PREFACE + SettingsFrame(0).serialize():
        talk.send(bytes([byte]))
    talk.send(*talk.request(1))
    return talk.outcome(1)


@case("3.4", "a greeting whose second half is another", PROTOCOL, greets=False)
def _(talk):
    talk.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", SettingsFrame(0), *talk.request(1))
    return talk.outcome(1)


@case("3.4", "PING instead of the client's SETTINGS", PROTOCOL, greets=False)
def _(talk):
    talk.send(PREFACE, PingFrame(0, b"too soon"))
    return talk.outcome()


@case("3.4", "HEADERS instead of the client's SETTINGS", PROTOCOL, greets=False)
def _(talk):
    talk.send(PREFACE, *talk.request(1))
    return talk.outcome(1)


@case("3.4", "an acknowledgement instead of the client's SETTINGS", PROTOCOL, greets=False)
def _(talk):
    talk.send(PREFACE, SettingsFrame(0, flags=["ACK"]), *talk.request(1))
    return talk.outcome(1)


sent("3.4", "the greeting once more", f"{SIZE} or {PROTOCOL}", [PREFACE])

# 4.1, 4.2 and 5.5: frames in general.

sent("4.1", "a frame of unknown type is ignored", GOES_ON, [raw(0xEE, 0, 0, b"unknown")])
sent("4.1", "unknown flags of a PING are ignored", GOES_ON, [raw(PING, 0xFE, 0, b"flagged!")])
sent(
    "4.1",
    "the reserved bit before a stream's number is ignored",
    GOES_ON,
    [raw(PING, 0, 1 << 31, b"reserved")],
)
sent(
    "4.2",
    "DATA of 16,384 bytes",
    "200",
    lambda t: t.request(1, method="POST", path="/up", data=bytes(16_384)),
    1,
)
sent(
    "4.2",
    "DATA of 16,385 bytes",
    "stream error FRAME_SIZE_ERROR",
    lambda t: [*open_post(t), raw(DATA, 1, 1, bytes(16_385))],
    1,
)
sent("4.2", "HEADERS of 16,385 bytes", SIZE, [raw(HEADERS, 5, 1, ASK + bytes(16_385 - len(ASK)))])
sent("4.2", "a PING of 16,385 bytes", SIZE, [raw(PING, 0, 0, bytes(16_385))])
sent("4.2", "an unknown frame of 16,385 bytes", SIZE, [raw(0xEE, 0, 0, bytes(16_385))])
sent(
    "5.5",
    "an unknown frame on a stream that is open",
    "200",
    lambda t: [*open_post(t), raw(0xEE, 0, 1, b"unknown"), DataFrame(1, b"", flags=["END_STREAM"])],
    1,
)
sent(
    "5.5", "an unknown frame within a header block", PROTOCOL, [raw(HEADERS, 1, 1, ASK), raw(0xEE, 0, 1, b"")]
)

# 4.3: what stands between HEADERS and the end of the block.

for what, frame in (
    ("PRIORITY", priority(1, 0)),
    ("PING", PingFrame(0, b"between!")),
    ("HEADERS of another stream", raw(HEADERS, 5, 3, ASK)),
    ("DATA", DataFrame(1, b"data")),
    ("WINDOW_UPDATE", WindowUpdateFrame(0, 1)),
    ("SETTINGS", SettingsFrame(0)),
    ("CONTINUATION of another stream", raw(CONTINUATION, 4, 3, b"")),
):
    sent("4.3", f"{what} within a header block", PROTOCOL, [raw(HEADERS, 1, 1, ASK), frame])

# 5.1: states of streams.

for what, frame in (
    ("DATA", DataFrame(1, b"data")),
    ("RST_STREAM", RstStreamFrame(1, 8)),
    ("WINDOW_UPDATE", WindowUpdateFrame(1, 1)),
    ("CONTINUATION", raw(CONTINUATION, 4, 1, ASK)),
):
    sent("5.1", f"idle: {what}", PROTOCOL, [frame])
sent("5.1", "idle: PRIORITY", GOES_ON, [priority(1, 0)])


def half_closed(what, want, *frames, because=None):
    @case("5.1", f"half-closed (remote): {what}", want, settings=HELD, because=because)
    def run(talk):
        held(talk)
        talk.send(*frames)
        return talk.outcome(1) if "error" in want else talk.outcome()


STREAM_CLOSED = "stream error STREAM_CLOSED"
half_closed("DATA", STREAM_CLOSED, DataFrame(1, b"data"))
half_closed("HEADERS", STREAM_CLOSED, raw(HEADERS, 5, 1, ASK))
half_closed("CONTINUATION", f"{PROTOCOL} or {STREAM_CLOSED}", raw(CONTINUATION, 4, 1, ASK))
half_closed("PRIORITY", GOES_ON, priority(1, 0))
half_closed("RST_STREAM", GOES_ON, RstStreamFrame(1, 8))

ended, was_reset = after(closed), after(reset)
CLOSED = "connection error STREAM_CLOSED"
ended("5.1", "closed by its end: DATA", f"{CLOSED} or {STREAM_CLOSED}", DataFrame(1, b"data"))
ended("5.1", "closed by its end: HEADERS", f"{CLOSED} or {PROTOCOL}", raw(HEADERS, 5, 1, ASK))
ended("5.1", "closed by its end: CONTINUATION", f"{CLOSED} or {PROTOCOL}", raw(CONTINUATION, 4, 1, ASK))
ended("5.1", "closed by its end: WINDOW_UPDATE", GOES_ON, WindowUpdateFrame(1, 1))
ended("5.1", "closed by its end: RST_STREAM", GOES_ON, RstStreamFrame(1, 8))
ended("5.1", "closed by its end: PRIORITY", GOES_ON, priority(1, 0))
was_reset("5.1", "reset: DATA", f"{STREAM_CLOSED} or {GOES_ON}", DataFrame(1, b"data"))
was_reset("5.1", "reset: HEADERS", f"{CLOSED} or {STREAM_CLOSED} or {PROTOCOL}", raw(HEADERS, 5, 1, ASK))
was_reset("5.1", "reset: CONTINUATION", f"{CLOSED} or {PROTOCOL}", raw(CONTINUATION, 4, 1, ASK))
was_reset("5.1", "reset: PRIORITY", GOES_ON, priority(1, 0))

sent("5.1.1", "an even number", PROTOCOL, [raw(HEADERS, 5, 2, ASK)])
sent("5.1.1", "HEADERS on stream 0", PROTOCOL, [raw(HEADERS, 5, 0, ASK)])
sent("5.1.1", "a number below the last", PROTOCOL, lambda t: [*t.request(5), raw(HEADERS, 5, 3, ASK)])
sent("5.1.1", "numbers that skip", "200", lambda t: [*t.request(1), *t.request(101)], 101)


@case(
    "5.1.2",
    "a stream more than SETTINGS_MAX_CONCURRENT_STREAMS",
    "stream error REFUSED_STREAM or stream error PROTOCOL_ERROR",
)
def _(talk):
    most = talk.settings[0][MAX_STREAMS]
    for n in range(most + 1):
        talk.send(*open_post(talk, 2 * n + 1))
    return talk.outcome(2 * most + 1)


@case("5.1.2", "as many at once as there may be, and all of them again", "200")
def _(talk):
    most = talk.settings[0][MAX_STREAMS]
    for turn in range(2):
        numbers = [2 * (turn * most + n) + 1 for n in range(most)]
        talk.send(*(frame for n in numbers for frame in talk.request(n)))
        came = {talk.outcome(n) for n in numbers}
        if came != {"200"}:
            return str(sorted(came))
    return "200"


sent("5.3.1", "PRIORITY of a stream that depends on itself (deprecated)", GOES_ON, [priority(1, 1)])
sent(
    "5.3.1",
    "HEADERS of a stream that depends on itself (deprecated)",
    "200 or stream error PROTOCOL_ERROR",
    [raw(HEADERS, 0x25, 1, (1).to_bytes(4, "big") + b"\x0f" + ASK)],
    1,
)

# 6.1 to 6.4.


def padded(data, pad, length=None):
    return raw(DATA, 0x9, 1, bytes([pad]) + data + bytes(pad if length is None else length))


sent("6.1", "DATA on stream 0", PROTOCOL, [raw(DATA, 1, 0, b"data")])
sent("6.1", "DATA as long as its padding says", PROTOCOL, lambda t: [*open_post(t), padded(b"", 5, 4)])
sent("6.1", "DATA shorter than its padding says", PROTOCOL, lambda t: [*open_post(t), padded(b"", 255, 4)])
sent(
    "6.1",
    "DATA that is to be padded, and is empty",
    f"{SIZE} or {PROTOCOL}",
    lambda t: [*open_post(t), raw(DATA, 9, 1)],
)


@case("6.1", "padding is no data", "200")
def _(talk):
    talk.send(*open_post(talk))
    talk.expect(1, {":method": "POST"}, b"data")
    talk.send(padded(b"data", 255))
    return talk.outcome(1)


@case("6.1", "padding beyond all windows is given back", "200")
def _(talk):
    talk.send(*open_post(talk))
    # 257 bytes each on the wire, twice the window of the connection altogether.
    talk.expect(1, {":method": "POST"}, b"a" * 36_000)
    for _ in range(36_000):
        talk.until(lambda: min(talk.window(0), talk.window(1)) >= 257)
        for number in (0, 1):
            talk.windows[number] = talk.window(number) - 257
        talk.send(raw(DATA, 0x8, 1, b"\xffa" + bytes(255)))
    talk.send(DataFrame(1, b"", flags=["END_STREAM"]))
    return talk.outcome(1)


sent(
    "6.2",
    "HEADERS with padding and a priority",
    "200",
    [raw(HEADERS, 0x2D, 1, b"\x03" + bytes(5) + ASK + bytes(3))],
    1,
)
sent("6.2", "HEADERS shorter than its padding says", PROTOCOL, [raw(HEADERS, 0xD, 1, b"\xff" + ASK)])
sent("6.2", "HEADERS that is to be padded, and is empty", f"{SIZE} or {PROTOCOL}", [raw(HEADERS, 0xD, 1)])
sent("6.2", "HEADERS too short for its priority", f"{SIZE} or {PROTOCOL}", [raw(HEADERS, 0x25, 1, bytes(4))])
sent("6.3", "PRIORITY on stream 0", PROTOCOL, [raw(PRIORITY, 0, 0, bytes(5))])
sent(
    "6.3",
    "PRIORITY of 4 bytes",
    "stream error FRAME_SIZE_ERROR",
    lambda t: [*open_post(t), raw(PRIORITY, 0, 1, bytes(4))],
    1,
)
sent("6.4", "RST_STREAM on stream 0", PROTOCOL, [raw(RST, 0, 0, bytes(4))])
sent("6.4", "RST_STREAM of 3 bytes", SIZE, lambda t: [*open_post(t), raw(RST, 0, 1, bytes(3))])
sent("6.4", "RST_STREAM of 5 bytes", SIZE, lambda t: [*open_post(t), raw(RST, 0, 1, bytes(5))])
sent("7", "RST_STREAM with an unknown code", GOES_ON, lambda t: [*open_post(t), RstStreamFrame(1, 0xDEAD)])

# 6.5: settings.


def setting(number, value):
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


sent("6.5", "SETTINGS with a stream's number", PROTOCOL, [raw(SETTINGS, 0, 1, setting(TABLE_SIZE, 100))])
sent(
    "6.5",
    "an acknowledgement with a payload",
    SIZE,
    [raw(SETTINGS, 1, 0, setting(TABLE_SIZE, 100))],
)
sent("6.5", "SETTINGS of 5 bytes", SIZE, [raw(SETTINGS, 0, 0, bytes(5))])
sent(
    "6.5",
    "SETTINGS of 7 bytes",
    SIZE,
    [raw(SETTINGS, 0, 0, setting(TABLE_SIZE, 100) + b"\x00")],
)
sent("6.5.2", "ENABLE_PUSH of 2", PROTOCOL, [raw(SETTINGS, 0, 0, setting(ENABLE_PUSH, 2))])
sent(
    "6.5.2",
    "INITIAL_WINDOW_SIZE of 2^31",
    FLOW,
    [raw(SETTINGS, 0, 0, setting(WINDOW, 1 << 31))],
)
sent("6.5.2", "MAX_FRAME_SIZE of 16,383", PROTOCOL, [raw(SETTINGS, 0, 0, setting(FRAME_SIZE, 16_383))])
sent("6.5.2", "MAX_FRAME_SIZE of 2^24", PROTOCOL, [raw(SETTINGS, 0, 0, setting(FRAME_SIZE, 1 << 24))])
sent(
    "6.5.2", "MAX_FRAME_SIZE of 2^24 - 1", GOES_ON, [raw(SETTINGS, 0, 0, setting(FRAME_SIZE, (1 << 24) - 1))]
)
sent("6.5.2", "an unknown setting is ignored", GOES_ON, [raw(SETTINGS, 0, 0, setting(0xFFFF, 1))])


@case("6.5.3", "each SETTINGS is acknowledged", "acknowledged")
def _(talk):
    before = talk.acks
    talk.send(*[SettingsFrame(0, settings={WINDOW: n}) for n in (1, 2, 3)])
    talk.until(lambda: talk.acks == before + 3)
    return "acknowledged" if talk.outcome() == GOES_ON else "not"


@case("6.5.3", "the last of two values holds", "1 byte, 200")
def _(talk):
    talk.send(raw(SETTINGS, 0, 0, setting(WINDOW, 100) + setting(WINDOW, 1)))
    talk.until(lambda: talk.acks == 2)
    return window_of(talk, 1, "byte")


@case(
    "6.5.2", "HEADER_TABLE_SIZE of 0: the edge's header blocks use no table", "200", settings={TABLE_SIZE: 0}
)
def _(talk):
    talk.decoder.max_allowed_table_size = 0
    talk.send(*talk.request(1), *talk.request(3))
    return talk.outcome(1) if talk.outcome(3) == "200" else "not"


# 6.6 to 6.8.

sent(
    "6.6",
    "PUSH_PROMISE of a client",
    PROTOCOL,
    lambda t: [*open_post(t), raw(PUSH, 4, 1, bytes([0, 0, 0, 2]) + ASK)],
)


@case("6.7", "PING comes back with its payload", "12345678")
def _(talk):
    talk.send(PingFrame(0, b"12345678"))
    talk.until(lambda: talk.pongs)
    return talk.pongs[0].decode()


@case("6.7", "an acknowledgement of no PING is not answered", "one answer")
def _(talk):
    talk.send(PingFrame(0, b"no quest", flags=["ACK"]))
    return "one answer" if talk.outcome() == GOES_ON and talk.pongs == [b"is there"] else str(talk.pongs)


sent("6.7", "PING with a stream's number", PROTOCOL, [raw(PING, 0, 1, bytes(8))])
sent("6.7", "PING of 6 bytes", SIZE, [raw(PING, 0, 0, bytes(6))])
sent("6.7", "PING of 9 bytes", SIZE, [raw(PING, 0, 0, bytes(9))])
sent("6.8", "GOAWAY with a stream's number", PROTOCOL, [raw(GOAWAY, 0, 1, bytes(8))])
sent("6.8", "GOAWAY of 7 bytes", SIZE, [raw(GOAWAY, 0, 0, bytes(7))])


@case(
    "6.8",
    "a client that says GOAWAY gets the answers under way, and the end",
    "200, then closed",
    settings={WINDOW: 1000},
)
def _(talk):
    held(talk)
    talk.send(
        GoAwayFrame(0, last_stream_id=0), WindowUpdateFrame(1, len(FILE)), WindowUpdateFrame(0, len(FILE))
    )
    whole = talk.answered(1).body == FILE
    return f"{talk.streams[1].status if whole else 'less'}, then {talk.ended().replace('GOAWAY NO_ERROR', 'closed')}"


# 6.9: flow control.

sent(
    "6.9",
    "WINDOW_UPDATE of 0 for the connection",
    PROTOCOL,
    [WindowUpdateFrame(0, 1).serialize()[:9] + bytes(4)],
)
sent(
    "6.9",
    "WINDOW_UPDATE of 0 for a stream",
    "stream error PROTOCOL_ERROR",
    lambda t: [*open_post(t), raw(UPDATE, 0, 1, bytes(4))],
    1,
)
sent("6.9", "WINDOW_UPDATE of 3 bytes", SIZE, [raw(UPDATE, 0, 0, bytes(3))])
sent("6.9", "WINDOW_UPDATE of 5 bytes", SIZE, [raw(UPDATE, 0, 0, bytes(5))])
MOST = (1 << 31) - 1
sent(
    "6.9.1",
    "a connection's window beyond 2^31 - 1",
    FLOW,
    [WindowUpdateFrame(0, MOST), WindowUpdateFrame(0, MOST)],
)
sent(
    "6.9.1",
    "a stream's window beyond 2^31 - 1",
    "stream error FLOW_CONTROL_ERROR",
    lambda t: [*open_post(t), WindowUpdateFrame(1, MOST), WindowUpdateFrame(1, MOST)],
    1,
)


def window_of(talk, n, word="bytes"):
    """Of a file, what the window lets through and not a byte more; and all of it, once it is open."""
    talk.send(*talk.request(1, path="/file"))
    stream = talk.streams[1]
    talk.until(lambda: len(stream.body) >= n)
    there = talk.outcome() == GOES_ON and len(stream.body)
    talk.send(WindowUpdateFrame(1, len(FILE)), WindowUpdateFrame(0, len(FILE)))
    return f"{there:,} {word}, {talk.outcome(1)}"


@case("6.9.1", "no DATA beyond a stream's window", "1 byte, 200", settings={WINDOW: 1})
def _(talk):
    return window_of(talk, 1, "byte")


@case("6.9.1", "no DATA beyond a connection's window", "65,535 bytes, 200", settings={WINDOW: 1 << 30})
def _(talk):
    return window_of(talk, 65_535)


@case("6.9.1", "a window given byte by byte", "200", settings={WINDOW: 0})
def _(talk):
    held(talk)
    for n in range(100):
        talk.send(WindowUpdateFrame(1, 1))
        talk.until(lambda: len(talk.streams[1].body) == n + 1)
    talk.send(WindowUpdateFrame(1, len(FILE)), WindowUpdateFrame(0, len(FILE)))
    return talk.outcome(1)


@case("6.9.1", "a client that sends beyond the edge's windows", "stream error FLOW_CONTROL_ERROR")
def _(talk):
    # Nobody reads it: what is in the buffers of the edge and the system fills them, and the windows after that.
    talk.send(*talk.request(1, method="POST", path="/never", end=False))
    for _ in range(2048):
        talk.send(DataFrame(1, bytes(16_384)))
    return talk.outcome(1)


@case(
    "6.9.2",
    "INITIAL_WINDOW_SIZE changes the windows of streams that are open",
    "10 bytes, 200",
    settings=HELD,
)
def _(talk):
    held(talk)
    talk.send(SettingsFrame(0, settings={WINDOW: 10}))
    return rest_of(talk, 10)


@case(
    "6.9.2",
    "a window that has become negative stays shut until it is positive",
    "4 bytes, 200",
    settings={WINDOW: 3},
)
def _(talk):
    held(talk)
    talk.until(lambda: len(talk.streams[1].body) == 3)
    # 3 less than nothing; 4 more make 1.
    talk.send(SettingsFrame(0, settings={WINDOW: 0}), WindowUpdateFrame(1, 3))
    if talk.outcome() != GOES_ON or len(talk.streams[1].body) != 3:
        return f"{len(talk.streams[1].body)} bytes too soon"
    talk.send(WindowUpdateFrame(1, 1))
    return rest_of(talk, 4)


def rest_of(talk, n):
    stream = talk.streams[1]
    talk.until(lambda: len(stream.body) >= n)
    there = talk.outcome() == GOES_ON and len(stream.body)
    talk.send(WindowUpdateFrame(1, len(FILE)), WindowUpdateFrame(0, len(FILE)))
    return f"{there} bytes, {talk.outcome(1)}"


@case("6.9.2", "INITIAL_WINDOW_SIZE that takes a window beyond 2^31 - 1", FLOW, settings=HELD)
def _(talk):
    held(talk)
    talk.send(WindowUpdateFrame(1, MOST - 1), SettingsFrame(0, settings={WINDOW: 1 << 30}))
    return talk.outcome()


# 6.10: CONTINUATION.


def continued(*parts):
    return [raw(HEADERS, 1, 1, parts[0])] + [
        raw(CONTINUATION, 4 if n == len(parts) - 1 else 0, 1, part) for n, part in enumerate(parts) if n
    ]


sent("6.10", "a block in three parts", "200", continued(ASK[:9], ASK[9:20], ASK[20:]), 1)
sent(
    "6.10",
    "a block byte by byte, which a server may have enough of",
    "200 or connection error ENHANCE_YOUR_CALM",
    continued(*(ASK[n : n + 1] for n in range(len(ASK)))),
    1,
)
sent("6.10", "an empty HEADERS, and all of the block behind it", "200", continued(b"", b"", ASK), 1)
sent("6.10", "CONTINUATION on stream 0", PROTOCOL, [raw(HEADERS, 1, 1, ASK), raw(CONTINUATION, 4, 0)])
sent(
    "6.10",
    "CONTINUATION behind a whole block",
    PROTOCOL,
    lambda t: [*open_post(t), raw(CONTINUATION, 4, 1, ASK)],
)
sent(
    "6.10",
    "CONTINUATION behind DATA",
    PROTOCOL,
    lambda t: [*open_post(t), DataFrame(1, b"a"), raw(CONTINUATION, 4, 1)],
)
