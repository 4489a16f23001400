"""Valkey and SeaweedFS as deploy/ and compose.yaml set them up, with a user for each role, behind TLS."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
import redis
import yaml
from botocore.exceptions import BotoCoreError, ClientError
from processes import ROOT, wait_for
from tlsproxy import TlsProxy

from producer.stack.ports import free_ports
from producer.stack.process import GuardedProcess
from producer.stack.seaweedfs import BUCKET, ROLES, find_weed, weed_command, weed_environment
from producer.stack.valkey import find_valkey_server

#: Each role, and its password.
USERS = {"producer": "p" * 20, "worker": "w" * 20, "reader": "r" * 20, "operator": "o" * 20}
PREFIX = "chatterqueue:"


def certificates(folder: Path, *names: str, **variables: str) -> Path:
    """Have the script of deploy/ make an authority and a server's certificate for some names; return the folder."""
    script = ROOT / "deploy" / "tls" / "make-certificates.sh"
    subprocess.run(["sh", script, folder, *names], env={**os.environ, **variables}, check=True, capture_output=True)
    return folder


def identities() -> str:
    """Return what compose.yaml tells the S3 server of its users."""
    content = yaml.safe_load((ROOT / "compose.yaml").read_text())["configs"]["s3-identities"]["content"]
    content = re.sub(r"\$\{(\w+)_PASSWORD:[^}]*\}", lambda found: USERS[found[1].lower()], content)
    return content.replace("${CHATTERQUEUE_S3_BUCKET:-narrations}", BUCKET)


class RoleFarm:
    """Both servers, while the block runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tls = certificates(folder / "tls", "localhost", "127.0.0.1")
        self.valkey_port, self.https_port, *self._ports = free_ports(2 + len(ROLES))
        #: Where TLS is spoken in front of Valkey: the wheel's Valkey has none.
        self.redis_port = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for server in (self._valkey(), self._weed()):
            self._stack.callback(server.stop)
        self.redis_port = self._stack.enter_context(TlsProxy(self.tls, self.valkey_port)).port
        try:
            wait_for(self._is_up, "both servers answer", timeout_s=60)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _valkey(self) -> GuardedProcess:
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "valkey-server").symlink_to(find_valkey_server())
        script = ROOT / "deploy" / "valkey" / "start.sh"
        return GuardedProcess(
            "valkey",
            ["sh", str(script), "--port", str(self.valkey_port), "--bind", "127.0.0.1", "--dir", "."],
            log_path=self.folder / "valkey.log",
            environment={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "ACL_DIR": str(self.folder),
                **{f"{role.upper()}_PASSWORD": password for role, password in USERS.items()},
            },
            folder=self.folder,
        )

    def _weed(self) -> GuardedProcess:
        (self.folder / "identities.json").write_text(identities())
        return GuardedProcess(
            "s3",
            [
                *weed_command(find_weed(), folder=self.folder, ports=dict(zip(ROLES, self._ports, strict=True))),
                f"-s3.config={self.folder / 'identities.json'}",
                f"-s3.port.https={self.https_port}",
                f"-s3.cert.file={self.tls / 'server.crt'}",
                f"-s3.key.file={self.tls / 'server.key'}",
            ],
            log_path=self.folder / "weed.log",
            environment=weed_environment(
                folder=self.folder, access_key_id="operator", secret_access_key=USERS["operator"]
            ),
            folder=self.folder,
        )

    def _is_up(self) -> bool:
        try:
            return bool(self.redis("operator").ping()) and bool(self.s3("operator").head_bucket(Bucket=BUCKET))
        except (redis.RedisError, OSError, ClientError, BotoCoreError):
            return False

    def redis(self, user: str) -> redis.Redis:
        """Return a connection with one of the roles, without TLS."""
        return redis.Redis(port=self.valkey_port, username=user, password=USERS[user], socket_timeout=5)

    def s3(self, user: str) -> Any:
        """Return a client with one of the roles."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=f"https://localhost:{self.https_port}",
            region_name="us-east-1",
            aws_access_key_id=user,
            aws_secret_access_key=USERS[user],
            verify=str(self.tls / "ca.crt"),
            config=boto3.session.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def environment(self, user: str) -> dict[str, str]:
        """Return what somebody with this role sets."""
        address = f"rediss://{user}:{USERS[user]}@localhost:{self.redis_port}/0"
        return {
            "CHATTERQUEUE_REDIS_URL": f"{address}?ssl_ca_certs={self.tls / 'ca.crt'}",
            "CHATTERQUEUE_REDIS_PREFIX": PREFIX,
            "CHATTERQUEUE_S3_ENDPOINT_URL": f"https://localhost:{self.https_port}",
            "CHATTERQUEUE_S3_BUCKET": BUCKET,
            "AWS_ACCESS_KEY_ID": user,
            "AWS_SECRET_ACCESS_KEY": USERS[user],
            "AWS_CA_BUNDLE": str(self.tls / "ca.crt"),
        }
