"""Free ports are really free, also 10,000 higher."""

from __future__ import annotations

import socket

import pytest

from producer.stack.ports import GRPC_OFFSET, RANGE, are_free, free_ports, is_free


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_is_not_free_when_somebody_listens(listener):
    assert not is_free(listener)
    assert not are_free([listener])


def test_a_port_is_not_free_when_the_one_for_grpc_is_taken():
    port = free_ports(1)[0]
    with socket.create_server(("127.0.0.1", port + GRPC_OFFSET)):
        assert is_free(port)
        assert not are_free([port])


def test_free_ports_are_distinct_and_below_those_for_outgoing_connections():
    ports = free_ports(20)

    assert len(set(ports)) == 20
    assert all(port in RANGE for port in ports)
    assert RANGE.stop + GRPC_OFFSET <= 32_768


def test_free_ports_avoid_what_they_are_told(monkeypatch):
    monkeypatch.setattr("producer.stack.ports.RANGE", range(12_000, 12_003))

    assert set(free_ports(2, avoiding=[12_001])) == {12_000, 12_002}
