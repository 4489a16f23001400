"""What both sides must agree on, read from CHATTERQUEUE_* variables.

Knows nothing of the worker's own knobs (`worker.settings`). S3 credentials come by boto3's own chain.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, Field, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from producer.contract.errors import SettingsError


class Settings(BaseSettings):
    """Where Redis and S3 are, and how names in them begin."""

    model_config = SettingsConfigDict(env_prefix="CHATTERQUEUE_", frozen=True, extra="ignore", env_ignore_empty=True)

    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    redis_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{0,64}$")] = "chatterqueue:"

    #: None: AWS itself.
    s3_endpoint_url: str | None = None
    #: Address that users of presigned URLs reach; None: the same as `s3_endpoint_url`.
    s3_public_endpoint_url: str | None = None
    s3_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = "narrations"
    s3_prefix: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]*/)*$", max_length=200)] = ""
    s3_region: str = "us-east-1"
    #: `path` with an endpoint of one's own, `auto` for AWS; None chooses by that rule.
    s3_addressing_style: Literal["auto", "path", "virtual"] | None = None
    #: R2, B2 and older servers refuse the checksums that boto3 sends by itself.
    s3_checksums: Literal["when_required", "when_supported"] = "when_required"
    #: Make the bucket if it is missing; off for keys that may not.
    s3_create_bucket: bool = False

    #: Days that the record of a narration stays in Redis after it ended; audio stays as long as the bucket keeps it.
    #: The second is for those that failed, expired or are partial, which somebody may want to look into or to retry.
    retention_days: Annotated[int, Field(ge=1, le=365)] = 7
    failed_retention_days: Annotated[int, Field(ge=1, le=365)] = 30

    @field_validator("redis_url")
    @classmethod
    def _redis_url_has_a_scheme(cls, url: SecretStr) -> SecretStr:
        if urlsplit(url.get_secret_value()).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return url

    @field_validator("s3_endpoint_url", "s3_public_endpoint_url")
    @classmethod
    def _endpoint_is_a_url(cls, url: str | None) -> str | None:
        if url is not None:
            TypeAdapter(AnyHttpUrl).validate_python(url)
        return url

    @field_validator("s3_prefix", mode="before")
    @classmethod
    def _prefix_ends_with_a_slash(cls, prefix: Any) -> Any:
        return f"{prefix}/" if isinstance(prefix, str) and prefix and not prefix.endswith("/") else prefix

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Return the settings of this process.

        Raises:
            SettingsError: naming every variable that cannot be used, never its value.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            faults = [
                f"{cls.variable_of(detail)}: {detail['msg']}"
                for detail in error.errors(include_url=False, include_input=False, include_context=False)
            ]
            raise SettingsError(faults) from None

    @staticmethod
    def variable_of(detail: Any) -> str:
        """Return the environment variable that a validation error is about."""
        return "CHATTERQUEUE_" + "_".join(str(part) for part in detail["loc"]).upper()

    def redis_address(self) -> str:
        """Return where Redis is, without credentials, for messages."""
        parts = urlsplit(self.redis_url.get_secret_value())
        return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"

    def s3_address(self) -> str:
        """Return where the bucket is, for messages."""
        return f"{self.s3_endpoint_url or 'https://s3.amazonaws.com'}/{self.s3_bucket}"
