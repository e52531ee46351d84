"""The engine: one page in, its text out. Tesseract does the reading.

POST /recognise   a PNG        200 {"text", "engine", "version"}
GET  /healthz                  200, where tesseract runs

Version 2 reads a page as one block of text, which keeps the lines of a table together.
"""

import argparse
import os
import shutil
import subprocess

from service import Service, serve

VERSION = os.environ.get("OCR_VERSION", "1")
LAYOUT = {"1": "3"}.get(VERSION, "6")


def recognise(png: bytes) -> str:
    command = ["tesseract", "stdin", "stdout", "--psm", LAYOUT, "-l", "eng"]
    done = subprocess.run(command, input=png, capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        raise ValueError(done.stderr.decode(errors="replace").strip())
    return done.stdout.decode()


class Engine(Service):
    def do_GET(self):
        if self.path != "/healthz":
            return self.answer(404, {"error": "not found"})
        if shutil.which("tesseract") is None:
            return self.answer(503, {"error": "tesseract is not installed: apt-get install tesseract-ocr"})
        self.answer(200, {"ok": True, "version": VERSION})

    def do_POST(self):
        if self.path != "/recognise":
            return self.answer(404, {"error": "not found"})
        try:
            text = recognise(self.body())
        except (ValueError, subprocess.TimeoutExpired) as error:
            return self.answer(422, {"error": f"this page cannot be read: {error}"})
        self.answer(200, {"text": text, "engine": os.environ.get("NARU_INSTANCE", ""), "version": VERSION})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    serve(Engine, parser.parse_args().port)
