"""The API: a page, or a batch of pages.

POST /ocr            a PNG                        200 {"text", "api", "engine", "version"}
POST /batches        {"pages": [base64 PNG, …]}   202 {"id"}    a job of minutes, under a lease
GET  /batches/ID                                  200 {"state": "running" | "done", "texts": […]}
GET  /healthz                                     200

A batch goes on after its request is answered, so no open connection shows it. It holds a lease of Naru's
(NARU_WORK_URL): as long as it does, no deploy, scale-in or stop ends this process.
"""

import argparse
import base64
import json
import os
import pathlib
import threading
import time
import urllib.error
import urllib.request
import uuid

from service import Service, serve

VERSION = os.environ.get("OCR_VERSION", "1")
INSTANCE = os.environ.get("NARU_INSTANCE", "")
ENGINE = os.environ.get("NARU_URL_ENGINE", "http://127.0.0.1:9000")
WORK = os.environ.get("NARU_WORK_URL")
DATA = pathlib.Path(os.environ.get("OCR_DATA", "/tmp/naru-ocr"))


def call(method: str, url: str, body: bytes | None = None, tries: int = 1) -> dict:
    """One HTTP call that answers JSON. Calls that may be repeated ask for more tries: whom they call may be
    restarting."""
    for left in reversed(range(tries)):
        request = urllib.request.Request(url, data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError:
            raise
        except OSError:
            if not left:
                raise
            time.sleep(0.2)
    return {}


def recognise(png: bytes) -> dict:
    return call("POST", f"{ENGINE}/recognise", png)


class Lease:
    """A job's entry in Naru's ledger, with a heartbeat at each page."""

    def __init__(self, name: str):
        self.url = None
        if WORK:
            taken = call("POST", WORK, json.dumps({"name": name, "ttl": 60}).encode(), tries=50)
            self.url = f"{WORK}/{taken['id']}"

    def heartbeat(self, progress: float, note: str):
        if self.url:
            body = json.dumps({"progress": progress, "note": note}).encode()
            call("PUT", self.url, body, tries=50)

    def done(self, outcome: str = "done"):
        if self.url:
            call("DELETE", f"{self.url}?outcome={outcome}", tries=50)


def batch_file(batch: str) -> pathlib.Path:
    return DATA / f"{uuid.UUID(batch)}.json"


def write(batch: str, value: dict):
    """Whole or not at all: another process may read it at any moment."""
    file = batch_file(batch)
    scratch = file.with_suffix(".new")
    scratch.write_text(json.dumps(value))
    scratch.rename(file)


def work_through(batch: str, pages: list[bytes], lease: Lease):
    texts = []
    try:
        for number, page in enumerate(pages, 1):
            texts.append(recognise(page))
            write(batch, {"state": "running", "pages": len(pages), "texts": texts})
            lease.heartbeat(number / len(pages), f"page {number} of {len(pages)}")
        write(batch, {"state": "done", "pages": len(pages), "texts": texts, "api": INSTANCE})
        lease.done()
    except (OSError, ValueError) as error:
        write(batch, {"state": "failed", "error": str(error), "texts": texts})
        lease.done("failed")


class Api(Service):
    def do_GET(self):
        if self.path == "/healthz":
            return self.answer(200, {"ok": True, "version": VERSION})
        try:
            return self.answer(200, json.loads(batch_file(self.path.removeprefix("/batches/")).read_text()))
        except (ValueError, OSError):
            return self.answer(404, {"error": "there is no such batch"})

    def do_POST(self):
        try:
            if self.path == "/ocr":
                read = recognise(self.body())
                return self.answer(200, read | {"api": INSTANCE, "version": VERSION})
            if self.path == "/batches":
                pages = [base64.b64decode(page) for page in json.loads(self.body())["pages"]]
                return self.answer(202, {"id": self.begin(pages), "api": INSTANCE})
        except urllib.error.HTTPError as error:
            return self.answer(error.code, json.loads(error.read() or b"{}"))
        except (ValueError, KeyError, TypeError) as error:
            return self.answer(400, {"error": f"not understood: {error}"})
        self.answer(404, {"error": "not found"})

    def begin(self, pages: list[bytes]) -> str:
        batch = str(uuid.uuid4())
        lease = Lease(f"batch of {len(pages)} pages")
        write(batch, {"state": "running", "pages": len(pages), "texts": []})
        threading.Thread(target=work_through, args=(batch, pages, lease), daemon=True).start()
        return batch


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
    serve(Api, parser.parse_args().port)
