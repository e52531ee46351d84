"""Header compression: RFC 9113, 4.3, and RFC 7541."""

from frames import COMPRESSION, HEADERS
from table import case, sent
from talk import block, fields, raw

ASK = block(*fields())


def ask(tail=b"", head=b"", stream=1):
    return [raw(HEADERS, 5, stream, head + ASK + tail)]


def of_hpack(section, name, want, frames, stream=None):
    sent(f"HPACK {section}", name, want, frames, stream)


# A name of one byte, and a value by Huffman's code: `a` is 00011, what follows is padding.
def by_huffman(code):
    return b"\x00\x01x" + bytes([0x80 | len(code)]) + code


of_hpack("2.3.3", "an index beyond both tables", COMPRESSION, ask(b"\xff\x7f"))
of_hpack("2.3.3", "a name's index beyond both tables", COMPRESSION, ask(b"\x7f\x7f\x01a"))
of_hpack("2.3.3", "the first index of a table that is empty", COMPRESSION, ask(b"\xbe"))
of_hpack("4.1", "a size change at the block's beginning", "200", ask(head=b"\x20"), 1)
of_hpack("4.2", "a size change behind a field", COMPRESSION, ask(b"\x20"))
of_hpack("4.2", "two size changes at the block's beginning", "200", ask(head=b"\x20\x3f\xe1\x1f"), 1)
of_hpack(
    "4.4",
    "an entry larger than the table empties it",
    "200",
    ask(b"\x40\x01x" + b"\x7f\xe1\x1f" + b"a" * 4192),
    1,
)
of_hpack(
    "4.4",
    "an entry larger than the table, and the first index behind it",
    COMPRESSION,
    ask(b"\x40\x01x\x01y" + b"\x40\x01x" + b"\x7f\xe1\x1f" + b"a" * 4192 + b"\xbe"),
)
of_hpack("5.1", "an index in more bytes than it needs", "200", ask(b"\x0f\x84\x00\x01a"), 1)
of_hpack("5.1", "an index that overflows", COMPRESSION, ask(b"\xff" + b"\xff" * 10 + b"\x0f"))
of_hpack("5.1", "an index whose end is missing", COMPRESSION, ask(b"\xff\x80"))
of_hpack("5.2", "a string longer than its block", COMPRESSION, ask(b"\x00\x01x\x7fabc"))
of_hpack("5.2", "a field that ends behind its name", COMPRESSION, ask(b"\x00\x01x"))
of_hpack("5.2", "Huffman's code", "200", ask(by_huffman(b"\x1f")), 1)
of_hpack("5.2", "Huffman: padding of more than 7 bits", COMPRESSION, ask(by_huffman(b"\x1f\xff")))
of_hpack("5.2", "Huffman: padding of zeros", COMPRESSION, ask(by_huffman(b"\x18")))
of_hpack("5.2", "Huffman: the code of the string's end", COMPRESSION, ask(by_huffman(b"\xff\xff\xff\xff")))
of_hpack("6.1", "index 0", COMPRESSION, ask(b"\x80"))
of_hpack("6.2.3", "a field that is never to be indexed", "200", ask(b"\x10\x01x\x01y"), 1)
of_hpack("6.3", "a table larger than SETTINGS_HEADER_TABLE_SIZE", COMPRESSION, ask(head=b"\x3f\xe2\x1f"))
of_hpack("6.3", "a table of as much as SETTINGS_HEADER_TABLE_SIZE", "200", ask(head=b"\x3f\xe1\x1f"), 1)


@case("HPACK 2.2", "streams share the table", "path: /fields, x: shared")
def _(talk):
    # What the first adds is entry 62; the second has nothing else of it.
    talk.send(raw(HEADERS, 5, 1, ASK + b"\x40\x01x\x06shared"))
    talk.answered(1)
    talk.expect(3, {})
    talk.send(raw(HEADERS, 5, 3, block(*fields(path="/fields")) + b"\xbe"))
    text = talk.answered(3).body.decode()
    return f"path: {text.split()[1]}, x: {'shared' if 'x: shared' in text else text}"


@case(
    "HPACK 2.2",
    "a block that is refused has changed the table all the same",
    "stream error PROTOCOL_ERROR, then 200 and x: kept",
)
def _(talk):
    # A field of the connection makes it malformed.
    talk.send(raw(HEADERS, 5, 1, ASK + block(("connection", "close")) + b"\x40\x01x\x04kept"))
    first = talk.outcome(1)
    talk.expect(3, {})
    talk.send(raw(HEADERS, 5, 3, block(*fields(path="/fields")) + b"\xbe"))
    second = talk.answered(3)
    return f"{first}, then {second.status} and x: {'kept' if b'x: kept' in second.body else 'lost'}"


@case("HPACK 2.2", "many requests with fields that come and go in the table", "200")
def _(talk):
    for n in range(300):
        more = [(f"x-{n % 7}", "value-%d" % (n % 11) * (n % 40))]
        talk.send(*talk.request(2 * n + 1, *more))
        came = talk.outcome(2 * n + 1)
        if came != "200":
            return f"{came} for number {n}"
    return "200"
