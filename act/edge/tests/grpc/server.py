"""A service of gRPC without generated code: messages are bytes. Says its port, and serves until its input ends."""

import sys
import threading
from concurrent import futures

import grpc


def echo(request, context):
    context.set_trailing_metadata((("length", str(len(request))),))
    return request


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())


def count(request, context):
    for n in range(int(request)):
        yield str(n).encode()


def collect(requests, context):
    return b",".join(requests)


def chat(requests, context):
    for request in requests:
        yield request.upper()


def wait(request, context):
    # Until the client has left. It may have left before this began: then nobody calls back.
    ended = threading.Event()
    if context.add_callback(ended.set):
        ended.wait()
    return b""


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
}

server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("naru.Test", HANDLERS),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
server.stop(None)
