"""The connection to Redis: made so that it never hangs, and with errors that say what to do.

Knows nothing of what is kept in Redis. Celery makes its own connections (`producer.messages`).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from producer.contract.errors import QueueUnavailableError, SettingsError
from producer.contract.settings import Settings

#: Oldest server that understands the `#!lua` line our scripts begin with; Valkey reports 7.2.4 here.
MIN_REDIS_VERSION: Final = (7, 0)

#: Fraction of `maxmemory` from which `check_redis` warns: above it a bulk submit may be refused half-way.
FULL_WARNING_FRACTION: Final = 0.8

#: A connection that was idle for longer is tried with a PING before it is used, in seconds.
HEALTH_CHECK_INTERVAL_S: Final = 10


def connect_redis(settings: Settings, *, timeout_s: float = 3.0, retries: int = 0) -> redis.Redis:
    """Return a client; nothing is sent before its first command. Replies are bytes.

    Args:
        settings: says where Redis is.
        timeout_s: for connecting and for each reply.
        retries: how often a command is sent again after a lost connection or a timeout, with growing pauses of at
            most one second. A producer has somebody waiting and takes 0; a worker takes more.

    Raises:
        SettingsError: if the URL cannot be used.
    """
    url = settings.redis_url.get_secret_value()
    options: dict[str, Any] = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            health_check_interval=HEALTH_CHECK_INTERVAL_S,
            retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries),
            # RESP3 buys us nothing and asks every new connection two questions more.
            protocol=2,
            decode_responses=False,
            **options,
        )
        # Options in the URL are looked at when a connection is made, which sends nothing yet.
        client.connection_pool.make_connection()
    except (TypeError, ValueError):  # a port that is no number, an unknown option; the text may hold the password
        raise SettingsError(["CHATTERQUEUE_REDIS_URL: is no usable Redis URL"]) from None
    return client


def broker_tls(settings: Settings) -> dict[str, Any] | Literal[False]:
    """Return what Celery has to be told of TLS (`broker_use_ssl`): the server must prove its name, or False: no TLS.

    Left to itself, kombu takes any certificate for a `rediss://` URL without options, and with a transport of one's
    own it sends the password unencrypted. Options in the URL, such as `ssl_ca_certs`, come on top of this.
    """
    if urlsplit(settings.redis_url.get_secret_value()).scheme != "rediss":
        return False
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


@contextmanager
def redis_errors(settings: Settings) -> Iterator[None]:
    """Turn every error of the Redis client into ours.

    Raises:
        QueueUnavailableError: if Redis is down, frozen, full or refuses us; the reason says which.
    """
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise QueueUnavailableError(settings.redis_address(), reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """Return in words what an error of the Redis client means, without credentials."""
    match error:
        case redis.AuthenticationError() | redis.exceptions.AuthorizationError():
            return "it refuses the user name or password"
        case redis.exceptions.NoPermissionError():
            return f"the user may not do this: {error}"
        case redis.exceptions.OutOfMemoryError():
            return "it is full (maxmemory): free memory or raise the limit; nothing was written"
        case redis.exceptions.ReadOnlyError():
            return "it is a read-only replica"
        case redis.exceptions.BusyLoadingError():
            return "it is still loading its data"
        case redis.TimeoutError() | TimeoutError():
            return "no answer in time"
        case redis.ConnectionError() | OSError():
            return f"no connection: {str(error).rstrip('.')}"
        case redis.ResponseError():
            return _reason_of_refusal(str(error))
        case _:
            return f"{type(error).__name__}: {error}"


def _reason_of_refusal(message: str) -> str:
    # Some refusals have no class of their own in redis-py.
    if message.startswith(("WRONGPASS", "NOAUTH")):
        return "it refuses the user name or password"
    if message.startswith(("OOM", "command not allowed when used memory")):
        return "it is full (maxmemory): free memory or raise the limit; nothing was written"
    if message.startswith("MISCONF"):
        return "it cannot write to its disk and takes no more writes"
    return f"it answered: {message}"


def check_redis(client: redis.Redis) -> list[str]:
    """Return what is wrong with this Redis as the home of a queue, in sentences; empty if nothing is.

    Raises:
        redis.RedisError: if it cannot be asked; wrap the call in `redis_errors`.
    """
    # INFO and not CONFIG: managed servers and careful ACLs refuse CONFIG.
    info = client.info()
    return [problem for check in (_check_version, _check_memory, _check_persistence) for problem in check(info)]


def _check_version(info: dict[str, Any]) -> Iterator[str]:
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < MIN_REDIS_VERSION:
        needed = ".".join(str(part) for part in MIN_REDIS_VERSION)
        yield f"the server is version {version}; Redis {needed} or any Valkey is needed"


def _check_memory(info: dict[str, Any]) -> Iterator[str]:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy != "noeviction":
        yield f"maxmemory-policy is {policy}: narrations would vanish when memory is short; set it to noeviction"
    limit_bytes = int(info.get("maxmemory", 0))
    used_bytes = int(info.get("used_memory", 0))
    if limit_bytes and used_bytes > FULL_WARNING_FRACTION * limit_bytes:
        yield f"memory is {used_bytes / limit_bytes:.0%} full; at 100% nothing more can be submitted"


def _check_persistence(info: dict[str, Any]) -> Iterator[str]:
    if not int(info.get("aof_enabled", 0)):
        yield "appendonly is off: a restart of the server would lose narrations; set appendonly yes"
