#!/usr/bin/python3
"""Sends pages with known text to the API and checks what comes back.

    client.py URL pages COUNT          one after another; prints who answered, and how accurate it was
    client.py URL begin COUNT          begins a batch, prints its id
    client.py URL await ID             waits for a batch, checks each of its pages

Exit status 1 where a request failed or a page was read with less than 98 % of its characters right.
"""

import base64
import difflib
import json
import sys
import time
import urllib.request

import pages

ENOUGH = 0.98


def call(method: str, url: str, body: bytes | None = None) -> dict:
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method), timeout=120) as answer:
        return json.loads(answer.read())


def accuracy(number: int, read: str) -> float:
    """The share of characters that are right, white space folded."""
    wanted, got = " ".join(pages.text(number).split()), " ".join(read.split())
    return difflib.SequenceMatcher(None, wanted, got, autojunk=False).ratio()


def check(numbers_and_texts) -> int:
    results = [accuracy(number, read) for number, read in numbers_and_texts]
    bad = [result for result in results if result < ENOUGH]
    print(f"{len(results)} pages, worst accuracy {min(results):.3f}, below {ENOUGH}: {len(bad)}", flush=True)
    return 1 if bad else 0


def send_pages(url: str, count: int) -> int:
    read, who = [], {}
    for number in range(1, count + 1):
        answer = call("POST", f"{url}/ocr", pages.page(number))
        read.append((number, answer["text"]))
        by = f"{answer['api']} with {answer['engine']}"
        who[by] = who.get(by, 0) + 1
    for by, times in sorted(who.items()):
        print(f"{times} by {by}")
    return check(read)


def begin(url: str, count: int) -> int:
    batch = [base64.b64encode(pages.page(number)).decode() for number in range(1, count + 1)]
    print(call("POST", f"{url}/batches", json.dumps({"pages": batch}).encode())["id"], flush=True)
    return 0


def await_batch(url: str, batch: str) -> int:
    while True:
        state = call("GET", f"{url}/batches/{batch}")
        if state["state"] == "failed":
            print(state["error"])
            return 1
        if state["state"] == "done":
            print(f"done by {state['api']}")
            return check((number, one["text"]) for number, one in enumerate(state["texts"], 1))
        time.sleep(0.2)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [url, "pages", count]:
            sys.exit(send_pages(url, int(count)))
        case [url, "begin", count]:
            sys.exit(begin(url, int(count)))
        case [url, "await", batch]:
            sys.exit(await_batch(url, batch))
        case _:
            sys.exit(__doc__)
