"""What both tiers share: a small HTTP/1.1 service that answers JSON."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LARGEST = 32 * 1024 * 1024  # a page of 600 dpi is below 10 MB


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        if length > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        return self.rfile.read(length)

    def answer(self, status: int, value: dict):
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        print(self.address_string(), format % args, flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(service: type, port: int):
    print(f"listening on 127.0.0.1:{port}", flush=True)
    Server(("127.0.0.1", port), service).serve_forever()
