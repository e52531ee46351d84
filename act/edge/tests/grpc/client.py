"""Calls of every kind, by gRPC's own client; one line for each, the same whoever answers."""

import queue
import sys

import grpc

target, root = sys.argv[1], sys.argv[2]
if root == "-":
    channel = grpc.insecure_channel(target)
else:
    name = (("grpc.ssl_target_name_override", "shop.test"),)
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(open(root, "rb").read()), name)


def unary(name):
    return channel.unary_unary(f"/naru.Test/{name}")


answer, call = unary("Echo").with_call(b"hello", metadata=(("x-own", "1"),))
print("unary", answer, dict(call.trailing_metadata())["length"])
large = bytes(range(256)) * 8192
print("large", unary("Echo")(large) == large)
try:
    unary("Fail")("not now: é".encode())
except grpc.RpcError as error:
    print("status", error.code().name, ascii(error.details()))
try:
    unary("Missing")(b"")
except grpc.RpcError as error:
    print("missing", error.code().name)
print("server stream", sum(1 for _ in channel.unary_stream("/naru.Test/Count")(b"1000")))
collected = channel.stream_unary("/naru.Test/Collect")(str(n).encode() for n in range(1000))
print("client stream", len(collected.split(b",")))
words = queue.Queue()
heard = channel.stream_stream("/naru.Test/Chat")(iter(words.get, None))
for word in (b"one", b"two", b"three"):
    words.put(word)
    print("both ways", next(heard))
words.put(None)
print("both ways", list(heard))
try:
    unary("Wait")(b"", timeout=0.2)
except grpc.RpcError as error:
    print("deadline", error.code().name)
cancelled = unary("Wait").future(b"")
cancelled.cancel()
print("cancelled", cancelled.cancelled())
print("after", unary("Echo")(b"still there"))
