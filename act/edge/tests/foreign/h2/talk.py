"""A connection of HTTP/2 whose every frame the cases say, and what the edge made of it, in words.

hyperframe and hpack are Debian's: frames that are well-formed are theirs, and all that comes is read by them.
"""

import hashlib
import socket
import ssl

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# RFC 9113, 7.
CODES = (
    "NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR "
    "REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED"
).split()

# Settings, RFC 9113, 6.5.2.
TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, WINDOW, FRAME_SIZE, LIST_SIZE = range(1, 7)

# Longer than any wait that ends well.
PATIENCE = 20

FILE = bytes(i * 7 % 251 for i in range(300_000))


class Ended(Exception):
    """The edge has closed the connection."""


def raw(kind, flags, stream, payload=b"", length=None):
    """A frame of which every field is said."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    """A field that changes no table: without indexing, its name spelled out, nothing by Huffman's code."""
    text = b"\x00"
    for part in (name, value):
        assert len(part) < 127
        text += bytes([len(part)]) + part
    return text


def fields(*more, method="GET", scheme="http", path="/target", authority="t"):
    """The fields of a request; what is None is left out."""
    pseudo = ((":method", method), (":scheme", scheme), (":path", path), (":authority", authority))
    return [(name, value) for name, value in pseudo if value is not None] + list(more)


def block(*named):
    """A header block by itself, whatever stands in its fields."""
    as_bytes = lambda text: text if isinstance(text, bytes) else text.encode("latin-1")
    return b"".join(literal(as_bytes(name), as_bytes(value)) for name, value in named)


class Stream:
    """What came on a stream."""

    def __init__(self, due):
        self.due = due
        self.status = None
        self.fields = {}
        self.trailers = {}
        self.body = b""
        self.over = None


class Talk:
    """A client's connection."""

    def __init__(self, address, tls=None):
        self.address = address
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        # What nobody reads here is to be felt by the edge soon.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.encoder, self.decoder = Encoder(), Decoder()
        self.unread = b""
        self.frame_size = 16_384
        self.streams = {}
        self.pongs = []
        self.settings = []
        self.acks = 0
        self.windows = {0: 65_535}
        self.goaway = None
        self.headers_of = None

    def begin(self, settings=None):
        """Greets, and waits until the edge has taken the settings."""
        settings = settings or {}
        self.send(PREFACE, SettingsFrame(0, settings=settings))
        self.until(lambda: self.acks and self.settings)
        self.frame_size = settings.get(FRAME_SIZE, self.frame_size)
        self.send(SettingsFrame(0, flags=["ACK"]))
        return self

    def send(self, *frames):
        """Sends in one go. That the edge has closed already shows when it is read."""
        whole = b"".join(one if isinstance(one, bytes) else one.serialize() for one in frames)
        try:
            self.socket.sendall(whole)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise

    def request(self, stream, *more, end=True, data=None, **pseudo):
        """The frames of a request: HEADERS, and DATA with the end of the stream where there is data."""
        named = fields(*more, **pseudo)
        self.expect(stream, dict(named), data)
        head = HeadersFrame(stream, self.encoder.encode(named), flags=["END_HEADERS"])
        if data is not None:
            return [head, DataFrame(stream, data, flags=["END_STREAM"])]
        if end:
            head.flags.add("END_STREAM")
        return [head]

    def expect(self, stream, named, data=None):
        """What the body of its answer has to be, if it is answered with 200."""
        path, method = named.get(":path"), named.get(":method")
        due = {"/file": FILE, "/target": f"{method} /target HTTP/1.1".encode()}.get(path)
        if method in ("POST", "PUT"):
            how = "length" if "content-length" in named else "chunks"
            whole = data or b""
            due = f"{how} {len(whole)} {hashlib.sha256(whole).hexdigest()}".encode()
        if method == "HEAD":
            due = b""
        self.streams[stream] = Stream(due)

    # What comes.

    def take(self, n):
        while len(self.unread) < n:
            try:
                came = self.socket.recv(65_536)
            except (ConnectionError, ssl.SSLError):
                came = b""
            if not came:
                raise Ended
            self.unread += came
        taken, self.unread = self.unread[:n], self.unread[n:]
        return taken

    def read(self):
        """Takes the next frame into account."""
        head = self.take(9)
        frame, length = Frame.parse_frame_header(memoryview(head))
        assert length <= self.frame_size, f"a frame of {length} bytes"
        frame.parse_body(memoryview(self.take(length)))
        if isinstance(frame, SettingsFrame):
            if "ACK" in frame.flags:
                self.acks += 1
            else:
                self.settings.append(frame.settings)
        elif isinstance(frame, PingFrame):
            assert "ACK" in frame.flags
            self.pongs.append(frame.opaque_data)
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame
        elif isinstance(frame, WindowUpdateFrame):
            self.windows[frame.stream_id] = self.window(frame.stream_id) + frame.window_increment
        else:
            self.of_stream(frame)
        return frame

    def window(self, stream):
        """What may still be sent, the connection's (0) or a stream's."""
        first = self.settings[0].get(WINDOW, 65_535) if stream else 65_535
        return self.windows.get(stream, first)

    def of_stream(self, frame):
        stream = self.streams.setdefault(frame.stream_id, Stream(None))
        if isinstance(frame, RstStreamFrame):
            stream.over = f"stream error {code(frame.error_code)}"
            return
        assert stream.over is None, f"{frame} after the end of its stream"
        if isinstance(frame, DataFrame):
            stream.body += frame.data
        elif isinstance(frame, (HeadersFrame, ContinuationFrame)):
            self.headers_of = frame.data if isinstance(frame, HeadersFrame) else self.headers_of + frame.data
            if "END_HEADERS" in frame.flags:
                self.head(stream, dict(self.decoder.decode(self.headers_of)))
        if "END_STREAM" in frame.flags:
            stream.over = stream.status

    def head(self, stream, named):
        status = named.pop(":status", None)
        if status is None:
            stream.trailers = named
        elif not status.startswith("1"):
            stream.status, stream.fields = status, named

    def until(self, so):
        while not so():
            self.read()

    # What it means.

    def alive(self):
        """Whether the edge still answers a PING on this connection; else how it ended, in words."""
        mark = len(self.pongs)
        self.send(PingFrame(0, b"is there"))
        try:
            self.until(lambda: len(self.pongs) > mark or self.failed())
        except Ended:
            pass
        return None if len(self.pongs) > mark and not self.failed() else self.ended()

    def failed(self):
        return self.goaway is not None and self.goaway.error_code != 0

    def ended(self):
        """How the connection ends: waits until it has."""
        try:
            while True:
                self.read()
        except Ended:
            pass
        except TimeoutError:
            return "stays open without a word"
        if self.goaway is None:
            return "closed"
        kind = "connection error" if self.failed() else "GOAWAY"
        return f"{kind} {code(self.goaway.error_code)}"

    def outcome(self, number=None):
        """What the edge makes of what was sent: of a stream, or of the connection alone."""
        if number is None:
            return self.alive() or "goes on"
        stream = self.streams.setdefault(number, Stream(None))
        try:
            self.until(lambda: stream.over is not None or self.failed())
        except Ended:
            pass
        if stream.over is None:
            return self.ended()
        if stream.over == "200" and stream.due is not None and stream.body != stream.due:
            return f"200 with another body: {stream.body[:80]!r}"
        ended = self.alive()
        return f"{stream.over}, then {ended}" if ended else stream.over

    def answered(self, number):
        """The stream's answer, whole."""
        stream = self.streams.setdefault(number, Stream(None))
        self.until(lambda: stream.over is not None)
        return stream

    def close(self):
        self.socket.close()


def code(number):
    return CODES[number] if number < len(CODES) else hex(number)


def priority(stream, on):
    return PriorityFrame(stream, depends_on=on, stream_weight=15)
