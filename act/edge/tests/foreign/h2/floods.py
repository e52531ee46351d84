"""Floods: what a client may not make of the edge. Afterwards another client is answered each time."""

import select

from frames import CONTINUATION, HEADERS, PING, PRIORITY, SETTINGS, UPDATE, open_post, setting
from hyperframe.frame import DataFrame, RstStreamFrame, SettingsFrame
from table import case
from talk import LIST_SIZE, WINDOW, Talk, block, fields, raw

CALM = "connection error ENHANCE_YOUR_CALM"
ASK = block(*fields())

# More than the system keeps for two connections of this machine.
FLOOD = 64 * 1024 * 1024


def flood(section, name, want, settings=None, because=None):
    """A case, and after it a request of another client, which has to be answered."""

    def add(run):
        @case(section, name, want, settings=settings, because=because)
        def whole(talk):
            came = run(talk)
            other = Talk(talk.address).begin()
            other.send(*other.request(1))
            answered = other.outcome(1)
            other.close()
            return came if answered == "200" else f"{came}; another client: {answered}"

    return add


def pour(talk, frames):
    """Sends this over and over, and reads nothing: whether the edge takes all, or waits for its reader, or ends it."""
    talk.socket.setblocking(False)
    sent = 0
    while sent < FLOOD:
        # Where nothing can be sent for so long, the edge reads no more.
        if not select.select([], [talk.socket], [], 1)[1]:
            return "waits for its reader"
        try:
            # From where the last one ended: frames stay whole.
            at = sent % len(frames)
            sent += talk.socket.send(frames[at:])
        except BlockingIOError:
            continue
        except OSError:
            break
    talk.socket.settimeout(20)
    return talk.ended() if sent < FLOOD else "takes it"


@flood("10.5", "streams that are begun and reset at once (CVE-2023-44487)", CALM)
def _(talk):
    pairs = [
        frame
        for n in range(1000)
        for frame in (raw(HEADERS, 5, 2 * n + 1, ASK), RstStreamFrame(2 * n + 1, 8))
    ]
    talk.send(*pairs)
    return talk.outcome()


@flood("10.5", "streams that are malformed, so that the edge resets them", CALM)
def _(talk):
    # Without the data that it has a length of.
    without = ASK + block(("content-length", "5"))
    talk.send(*(raw(HEADERS, 5, 2 * n + 1, without) for n in range(3000)))
    return talk.outcome()


@flood(
    "10.5",
    "streams that a frame makes the edge reset (CVE-2025-8671)",
    f"{CALM} or connection error PROTOCOL_ERROR",
)
def _(talk):
    frames = lambda n: (raw(HEADERS, 4, 2 * n + 1, ASK), raw(UPDATE, 0, 2 * n + 1, bytes(4)))
    talk.send(*(frame for n in range(3000) for frame in frames(n)))
    return talk.outcome()


@flood(
    "10.5.1",
    "a header block without an end, in empty parts (CVE-2024-27316)",
    f"{CALM} or connection error PROTOCOL_ERROR",
)
def _(talk):
    talk.send(raw(HEADERS, 1, 1, ASK))
    return pour(talk, raw(CONTINUATION, 0, 1) * 4096)


@flood(
    "10.5.1",
    "a header block without an end, in full parts (CVE-2024-27316)",
    f"{CALM} or connection error COMPRESSION_ERROR or connection error PROTOCOL_ERROR",
)
def _(talk):
    talk.send(raw(HEADERS, 1, 1, ASK))
    return pour(talk, raw(CONTINUATION, 0, 1, block(("x", "v" * 124)) * 125))


@flood(
    "10.5.1",
    "fields twice as long as the edge takes",
    "431 or stream error PROTOCOL_ERROR or connection error PROTOCOL_ERROR",
)
def _(talk):
    most = talk.settings[0][LIST_SIZE]
    talk.send(*big(block(("x", "v" * 100)) * (2 * most // 133)))
    return talk.outcome(1)


@flood(
    "10.5.1",
    "fields of 60 MB by 16 KiB of indexes (an HPACK bomb)",
    f"{CALM} or 431 or stream error PROTOCOL_ERROR or connection error PROTOCOL_ERROR",
)
def _(talk):
    entry = b"\x40\x01x" + b"\x7f\x99\x1e" + b"a" * 3992
    talk.send(raw(HEADERS, 5, 1, ASK + entry + b"\xbe" * 12_000))
    return talk.outcome(1)


def big(more):
    whole = ASK + more
    parts = [whole[at : at + 16_000] for at in range(0, len(whole), 16_000)]
    last = len(parts) - 1
    return [raw(HEADERS, 1, 1, parts[0])] + [
        raw(CONTINUATION, 4 if n == last else 0, 1, part) for n, part in enumerate(parts) if n
    ]


BOUNDED = f"waits for its reader or {CALM}"


@flood("10.5", "PINGs whose answers nobody reads (CVE-2019-9512)", BOUNDED)
def _(talk):
    return pour(talk, raw(PING, 0, 0, b"floodpng") * 4096)


@flood("10.5", "SETTINGS whose acknowledgements nobody reads (CVE-2019-9515)", BOUNDED)
def _(talk):
    return pour(talk, raw(SETTINGS, 0, 0, setting(WINDOW, 1)) * 4096)


@flood("10.5", "10,000 PINGs are answered", "goes on")
def _(talk):
    talk.send(*[raw(PING, 0, 0, b"floodpng")] * 10_000)
    talk.until(lambda: len(talk.pongs) == 10_000)
    return talk.outcome()


@flood("10.5", "10,000 changes of INITIAL_WINDOW_SIZE beside 100 streams", "goes on", settings={WINDOW: 0})
def _(talk):
    for n in range(100):
        talk.send(*talk.request(2 * n + 1, path="/file"))
    talk.until(lambda: all(one.status for one in talk.streams.values()))
    talk.send(*[SettingsFrame(0, settings={WINDOW: n % 2}) for n in range(10_000)])
    talk.until(lambda: talk.acks == 10_001)
    return talk.outcome()


@flood("10.5", "1,000,000 empty DATA frames (CVE-2019-9518)", f"200 or {CALM}")
def _(talk):
    talk.send(*open_post(talk))
    talk.send(DataFrame(1, b"").serialize() * 1_000_000, DataFrame(1, b"", flags=["END_STREAM"]))
    return talk.outcome(1)


@flood("10.5", "200,000 PRIORITY frames of streams that are none (CVE-2019-9513)", f"goes on or {CALM}")
def _(talk):
    talk.send(b"".join(raw(PRIORITY, 0, 2 * n + 1, bytes(5)) for n in range(200_000)))
    return talk.outcome()


@flood(
    "10.5",
    "an answer that nobody reads, on a hundred streams (CVE-2019-9517)",
    "stays",
    settings={WINDOW: (1 << 31) - 1},
)
def _(talk):
    # The window is open, and the connection is not read: each stream has its share of the buffers, and no more.
    talk.send(raw(UPDATE, 0, 0, (1 << 30).to_bytes(4, "big")))
    for n in range(100):
        talk.send(*talk.request(2 * n + 1, path="/file"))
    came = {talk.outcome(2 * n + 1) for n in range(100)}
    return "stays" if came == {"200"} else str(sorted(came))
