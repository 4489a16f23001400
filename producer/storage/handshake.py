"""Whether a PUT asks the server for leave before it sends its body. Knows nothing of what is put."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: Bodies below this are sent at once: the question costs a round trip, and a second with a server that never answers.
#: A larger one is worth the question: a server that refuses it would close the connection in the middle.
MIN_ASKED_BYTES: Final = 1 << 20


def ask_only_for_large_bodies(client: S3Client) -> None:
    """Take back botocore's `Expect: 100-continue`, which it adds to every PUT, where the body is small."""
    client.meta.events.register_last("before-call.s3", _drop_question_if_small)


def _drop_question_if_small(params: dict[str, Any], **_: Any) -> None:
    from botocore.utils import determine_content_length

    if "Expect" in params["headers"]:
        length_bytes = determine_content_length(params["body"])
        if length_bytes is not None and length_bytes < MIN_ASKED_BYTES:
            del params["headers"]["Expect"]
