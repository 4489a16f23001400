from __future__ import annotations

import pytest
from celery import Celery
from celery.app.defaults import DEFAULTS

from producer.contract.routing import ALL_QUEUES, Role, queues_of
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


def test_celery_knows_every_setting():
    """A typing error in a name would be silently ignored."""
    assert set(celery_settings(WorkerSettings())) - set(DEFAULTS) == set()
