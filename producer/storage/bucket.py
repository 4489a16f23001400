"""The bucket as a whole: is it there, can it be used, make it.

Raises botocore's exceptions; its caller turns them into ours.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from producer.contract.settings import Settings
from producer.storage.errors import MISSING_OBJECT_CODES, error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

#: Days after which the parts that a killed process left behind are cleared away.
ABORT_UPLOADS_AFTER_DAYS: Final = 1

_MADE_BEFORE: Final = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


def ensure_bucket(client: S3Client, settings: Settings) -> None:
    """Look for the bucket and, if the settings allow it, make it."""
    try:
        client.head_bucket(Bucket=settings.s3_bucket)
    except ClientError as error:
        if error_code(error) not in {*MISSING_OBJECT_CODES, "NoSuchBucket"} or not settings.s3_create_bucket:
            raise
    else:
        return
    _make_bucket(client, settings)
    _clear_broken_uploads(client, settings)


def _make_bucket(client: S3Client, settings: Settings) -> None:
    try:
        if settings.s3_region == "us-east-1":  # the one region that must not be named
            client.create_bucket(Bucket=settings.s3_bucket)
        else:
            client.create_bucket(
                Bucket=settings.s3_bucket,
                CreateBucketConfiguration={"LocationConstraint": settings.s3_region},  # type: ignore[typeddict-item]
            )
    except ClientError as error:
        # Another process made it at the same time. If it belongs to somebody else, the next request says so.
        if error_code(error) not in _MADE_BEFORE:
            raise
    else:
        logger.info("bucket_made", extra={"bucket": settings.s3_bucket})


def _clear_broken_uploads(client: S3Client, settings: Settings) -> None:
    rule_days = ABORT_UPLOADS_AFTER_DAYS
    try:
        client.put_bucket_lifecycle_configuration(
            Bucket=settings.s3_bucket,
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "clear-broken-uploads",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": rule_days},
                    }
                ]
            },
        )
    except ClientError as error:  # not every server has lifecycle rules, and nothing depends on this one
        logger.warning("bucket_rule_refused", extra={"bucket": settings.s3_bucket, "code": error_code(error)})


def probe_bucket(client: S3Client, settings: Settings) -> list[str]:
    """Write, read and delete a small object; return what did not work, in sentences."""
    client.head_bucket(Bucket=settings.s3_bucket)
    key = f"{settings.s3_prefix}.probe/{secrets.token_hex(8)}"
    wrote = key.encode()
    client.put_object(Bucket=settings.s3_bucket, Key=key, Body=wrote)
    read = client.get_object(Bucket=settings.s3_bucket, Key=key)["Body"].read()
    client.delete_object(Bucket=settings.s3_bucket, Key=key)
    if read != wrote:
        return [f"S3 at {settings.s3_address()} gives back something else than was stored"]
    return []
