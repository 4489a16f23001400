"""The fault proxies of `make chaos` do to a connection what they are told to: else a row would show nothing."""

from __future__ import annotations

import http.client
import socket
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from bench.chaos.httpproxy import Fault, HttpProxy
from bench.chaos.tcpproxy import TcpProxy

pytestmark = pytest.mark.integration


class Echo(socketserver.BaseRequestHandler):
    """Says back what it hears, and keeps it."""

    heard: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        while data := self.request.recv(1_000):
            self.heard.append(data)
            self.request.sendall(data)


class Web(BaseHTTPRequestHandler):
    """Takes what is put, and keeps it."""

    protocol_version = "HTTP/1.1"
    put: ClassVar[list[bytes]] = []

    def do_PUT(self) -> None:
        self.put.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(b"stored")

    def do_GET(self) -> None:
        self._answer(self.headers["Host"].encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    Echo.heard = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with TcpProxy(server.server_address[1], "seed") as proxy:
            yield proxy
        server.shutdown()


@pytest.fixture
def web() -> Iterator[HttpProxy]:
    Web.put = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with HttpProxy(server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()


@pytest.fixture
def line(proxy: TcpProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as line:
        yield line


def said_back(line: socket.socket, data: bytes) -> bytes:
    line.sendall(data)
    answer = b""
    while len(answer) < len(data) and (more := line.recv(1_000)):
        answer += more
    return answer


def test_what_is_slow_or_sliced_comes_through_whole(proxy, line):
    proxy.add("latency", latency=5, jitter=5)
    proxy.add("slicer", average_size=3, delay=10)
    proxy.add("bandwidth", rate=1_000)

    assert said_back(line, bytes(range(200))) == bytes(range(200))


def test_nothing_gets_through_a_partition_and_everything_does_after_it(proxy, line):
    assert said_back(line, b"before") == b"before"
    proxy.add("timeout", timeout=0)
    line.sendall(b"within")
    line.settimeout(0.2)
    with pytest.raises(TimeoutError):
        line.recv(100)
    assert Echo.heard == [b"before"]
    proxy.remove("timeout")
    line.settimeout(5)

    assert line.recv(100) == b"within"


def test_a_request_is_carried_out_and_its_reply_lost(proxy, line):
    proxy.add("lose_reply", pattern=b"RUN", probability=1.0, count=1)

    with pytest.raises(ConnectionResetError):
        said_back(line, b"RUN it")
    assert Echo.heard == [b"RUN it"]
    assert proxy.num_lost_replies == 1
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as again:
        assert said_back(again, b"RUN it") == b"RUN it"  # one was to be lost


@pytest.mark.parametrize(("toxic", "attributes"), [("reset_peer", {"timeout": 1}), ("down", {})])
def test_a_connection_is_reset(proxy, line, toxic, attributes):
    assert said_back(line, b"before") == b"before"
    proxy.add(toxic, **attributes)

    with pytest.raises(ConnectionResetError):
        line.recv(100)


def ask(proxy: HttpProxy, method: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    try:
        connection.request(method, "/bucket/key", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_server_sees_the_host_that_was_signed(web):
    assert ask(web, "GET") == (200, f"127.0.0.1:{web.port}".encode())


def test_a_request_is_answered_in_the_servers_place(web):
    web.plan = lambda method, path, number: Fault("status", 503, "SlowDown") if number == 1 else None

    status, body = ask(web, "PUT", b"data")
    assert (status, b"<Code>SlowDown</Code>" in body, Web.put) == (503, True, [])
    assert ask(web, "PUT", b"data") == (200, b"stored")
    assert web.faults == {"status": 1}


def test_an_answer_is_lost_after_the_request_was_carried_out(web):
    web.plan = lambda method, path, number: Fault("lost")

    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(web, "PUT", b"data")
    assert Web.put == [b"data"]


def test_a_body_is_cut_in_its_middle(web):
    web.plan = lambda method, path, number: Fault("cut")

    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        ask(web, "GET")


def test_a_request_is_reset_before_the_server_sees_it(web):
    web.plan = lambda method, path, number: Fault("reset")

    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        ask(web, "PUT", b"data")
    assert Web.put == []
