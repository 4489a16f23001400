"""The services that a client talks to, each connected when it is first needed.

Knows nothing of what is asked of them. Neither boto3 nor Celery is imported before it is used, because importing
them takes longer than everything else that a short command does.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from producer.connection import connect_redis
from producer.contract.settings import Settings

if TYPE_CHECKING:
    from redis import Redis

    from producer.ledger import Ledger
    from producer.messages import Messenger
    from producer.storage import ObjectStore
    from producer.voices import VoiceRegister


class Services:
    """Redis, the ledger in it, the messages through it, S3, and the register of voices."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def redis(self) -> Redis:
        """The connection to Redis; nothing is sent before its first use."""
        return connect_redis(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        """The record of every narration."""
        from producer.ledger import Ledger

        return Ledger(self.redis, self.settings)

    @cached_property
    def messenger(self) -> Messenger:
        """The way to the workers."""
        from producer.messages import Messenger, producer_app

        return Messenger(producer_app(self.settings), self.settings)

    @cached_property
    def store(self) -> ObjectStore:
        """The bucket; it is made first if CHATTERQUEUE_S3_CREATE_BUCKET says so.

        Raises:
            StorageUnavailableError: from the first use on, if S3 cannot be reached or refuses us.
        """
        from producer.storage import ObjectStore

        store = ObjectStore.connect(self.settings)
        if self.settings.s3_create_bucket:
            store.ensure_bucket()
        return store

    @cached_property
    def voices(self) -> VoiceRegister:
        """The register of voices."""
        from producer.voices import VoiceRegister

        return VoiceRegister(self.store)

    def close(self) -> None:
        """Let go of the connections that were made; the next use makes new ones."""
        made = self.__dict__
        if "redis" in made:
            self.redis.close()
        for name in ("redis", "ledger", "messenger", "store", "voices"):
            made.pop(name, None)
