from __future__ import annotations

import ssl

import pytest
from celery import Celery
from celery.app.defaults import DEFAULTS
from redis.connection import SSLConnection

from producer.contract.routing import ALL_QUEUES, SUSPECT_QUEUE, Role, queues_of
from producer.messages import producer_app
from worker.celeryconfig import celery_settings
from worker.settings import WorkerSettings


@pytest.mark.parametrize("role", list(Role))
def test_a_worker_reads_the_queues_of_its_role_in_their_order(role):
    app = Celery("test", set_as_current=False)
    app.conf.update(celery_settings(WorkerSettings(role=role)))
    app.amqp.queues.select([])
    assert tuple(app.amqp.queues.consume_from) == queues_of(role)


def test_all_queues_are_read_by_default():
    assert WorkerSettings().role is Role.ALL
    assert queues_of(Role.ALL) == ALL_QUEUES


def test_whoever_speaks_takes_suspects_before_all_other_segments():
    segments = [queue for queue in ALL_QUEUES if queue.startswith("narration.synthesize.")]
    assert segments[0] == SUSPECT_QUEUE
    assert queues_of(Role.GPU) == tuple(segments)
    assert SUSPECT_QUEUE not in queues_of(Role.CPU)


def test_celery_knows_every_setting():
    """A typing error in a name would be silently ignored."""
    assert set(celery_settings(WorkerSettings())) - set(DEFAULTS) == set()


@pytest.mark.parametrize("options", ["", "?ssl_ca_certs=/etc/ca.crt"])
@pytest.mark.parametrize("side", ["producer", "worker"])
def test_a_server_has_to_prove_its_name_when_the_url_asks_for_tls(side, options):
    """kombu takes any certificate for such a URL, and no TLS at all with a transport of one's own."""
    settings = WorkerSettings.load(redis_url=f"rediss://user:secret@localhost:1/0{options}")
    if side == "producer":
        app = producer_app(settings)
    else:
        app = Celery("test", set_as_current=False)
        app.conf.update(celery_settings(settings))
    with app.connection_for_read() as connection:
        made = SSLConnection(**connection.ssl)
        assert (made.cert_reqs, made.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert made.ca_certs == ("/etc/ca.crt" if options else None)


def test_a_url_without_tls_asks_for_none():
    with producer_app(WorkerSettings.load(redis_url="redis://localhost:1/0")).connection_for_read() as connection:
        assert not connection.ssl
