"""Python's h2 for a client: TLS with ALPN, and a talk that is ordinary."""

import hashlib
import ssl

import h2.config
import h2.connection
import h2.events
from table import Case
from talk import FILE, Talk


def tls(certificate, *protocols):
    context = ssl.create_default_context(cafile=certificate)
    context.set_alpn_protocols(protocols)
    return context


class Client:
    """Requests one after the other, or side by side."""

    def __init__(self, address, context=None):
        talk = Talk(address, context)
        self.socket = talk.socket
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()
        self.answers = {}

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def ask(self, path, scheme, data=None):
        stream = self.h2.get_next_available_stream_id()
        method = "GET" if data is None else "POST"
        named = [(":method", method), (":scheme", scheme), (":path", path), (":authority", "localhost")]
        self.h2.send_headers(stream, named, end_stream=data is None)
        self.answers[stream] = [None, b"", False]
        left = data
        while left:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room == 0:
                self.read()
                continue
            self.h2.send_data(stream, left[:room], end_stream=len(left) <= room)
            left = left[room:]
            self.flush()
        self.flush()
        return stream

    def read(self):
        came = self.socket.recv(65_536)
        assert came, "the end"
        for event in self.h2.receive_data(came):
            if isinstance(event, h2.events.ResponseReceived):
                self.answers[event.stream_id][0] = dict(event.headers)[":status"]
            elif isinstance(event, h2.events.DataReceived):
                self.answers[event.stream_id][1] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.answers[event.stream_id][2] = True
            assert not isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)), event
        self.flush()

    def answer(self, stream):
        while not self.answers[stream][2]:
            self.read()
        return self.answers[stream][:2]


def ordinary(address, context, scheme):
    client = Client(address, context)
    gets = [client.ask("/file", scheme) for _ in range(20)]
    data = FILE * 8
    post = client.ask("/up", scheme, data)
    assert all(client.answer(stream) == ["200", FILE] for stream in gets)
    due = f"chunks {len(data)} {hashlib.sha256(data).hexdigest()}".encode()
    assert client.answer(post) == ["200", due], client.answer(post)
    return "200, all whole"


def cases(address, sealed, certificate):
    """The cases of 3.2 and 3.3."""

    def talks(*protocols):
        return Talk(sealed, tls(certificate, *protocols))

    def speaks_http1(talk):
        talk.send(b"GET /target HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return talk

    def chosen(*protocols):
        return talks(*protocols).socket.selected_alpn_protocol()

    def one(section, name, want, run):
        return Case(section, name, want, lambda _: run())

    return [
        one(
            "3.3",
            "Python's h2 by prior knowledge: 20 files and an upload at once",
            "200, all whole",
            lambda: ordinary(address, None, "http"),
        ),
        one(
            "3.2",
            "the same with TLS and ALPN",
            "200, all whole",
            lambda: ordinary(sealed, tls(certificate, "h2"), "https"),
        ),
        one("3.2", "ALPN: h2 and http/1.1", "h2", lambda: chosen("h2", "http/1.1")),
        one("3.2", "ALPN: http/1.1 alone", "http/1.1", lambda: chosen("http/1.1")),
        one(
            "3.2",
            "HTTP/1.1 after ALPN for it",
            "HTTP/1.1 200 OK",
            lambda: speaks_http1(talks("http/1.1")).take(15).decode(),
        ),
        one(
            "3.2",
            "HTTP/1.1 after ALPN for h2",
            "connection error PROTOCOL_ERROR",
            lambda: speaks_http1(talks("h2")).ended(),
        ),
    ]
