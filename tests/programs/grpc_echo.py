"""gRPC over its own event engine: a server and 40 clients, unary calls and streams in both
directions; every message is compared.
grpc_echo.py server, or client PORT."""

import concurrent.futures
import signal
import sys

import grpc


def main():
    if sys.argv[1] == "server":
        server()
    else:
        client(sys.argv[2])


def server():
    handlers = {
        "Call": grpc.unary_unary_rpc_method_handler(lambda request, _: request[::-1]),
        "Stream": grpc.stream_stream_rpc_method_handler(lambda requests, _: (r[::-1] for r in requests)),
    }
    s = grpc.server(concurrent.futures.ThreadPoolExecutor(50))
    s.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("Echo", handlers)])
    print(s.add_insecure_port("127.0.0.1:0"), flush=True)
    s.start()
    signal.sigwait({signal.SIGTERM})
    s.stop(5).wait()


def message(number, k):
    return b"%d %d " % (number, k) * (1 + number * k % 300)


def one(port, number):
    # Otherwise all clients of a process share one connection.
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call, stream = channel.unary_unary("/Echo/Call"), channel.stream_stream("/Echo/Stream")
        for k in range(20):
            assert call(message(number, k), timeout=20) == message(number, k)[::-1], "a wrong answer"
        back = list(stream((message(number, k) for k in range(50)), timeout=20))
        assert back == [message(number, k)[::-1] for k in range(50)], "a wrong stream"
    return 70


def client(port):
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        print(sum(pool.map(lambda number: one(port, number), range(40))), "messages compared")


# Before any threads exist, because they inherit it.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
main()
