"""A server by Python's own http.server: a file with ranges, and an echo of what is uploaded."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATA = bytes(i * 7 % 251 for i in range(300_000))


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer's head and body are two pieces here.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        if self.path == "/moved":
            return self.answer(302, b"", Location="/file")
        if self.path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(DATA), 7001):
                part = DATA[at : at + 7001]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            return self.wfile.write(b"0\r\nX-Sum: 1\r\n\r\n")
        if self.path == "/until-close":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            return self.wfile.write(DATA)
        if self.path == "/target":
            return self.answer(200, self.requestline.encode())
        if self.path == "/fields":
            return self.answer(200, f"{self.requestline}\n{self.headers}".encode())
        wanted = self.headers.get("Range")
        if wanted is None:
            return self.answer(200, DATA, Accept_Ranges="bytes")
        first, last = wanted.removeprefix("bytes=").split("-")
        start, end = int(first), min(int(last or len(DATA) - 1), len(DATA) - 1)
        said = f"bytes {start}-{end}/{len(DATA)}"
        return self.answer(206, DATA[start : end + 1], Content_Range=said)

    do_HEAD = do_GET

    def do_OPTIONS(self):
        self.answer(200, self.path.encode(), Allow="GET")

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            whole = b""
            while size := int(self.rfile.readline(), 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline() != b"\r\n":
                pass
            return "chunks", whole
        return "length", self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self):
        if self.path == "/never":
            threading.Event().wait()
        how, whole = self.body()
        self.answer(200, f"{how} {len(whole)} {hashlib.sha256(whole).hexdigest()}".encode())

    do_PUT = do_POST

    # It refuses before the body, as http.server lets a server do.
    def handle_expect_100(self):
        if self.path == "/refuses":
            self.close_connection = True
            self.answer(413, b"too much")
            return False
        return super().handle_expect_100()


# As many connections at once as one of HTTP/2 has streams.
ThreadingHTTPServer.request_queue_size = 256
with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
