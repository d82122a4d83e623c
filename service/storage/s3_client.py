"""Makes the clients of an S3 server: signed over every byte, impatient, and with bounded retries.

boto3 rather than s3fs: the service's handlers and jobs are synchronous, and boto3 is what s3fs's own
foundation (aiobotocore) follows. It writes an object by a multipart upload that it aborts when it fails; a
file system's view of a bucket (listings that are cached, files that are open for appending) is not needed.
"""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from service.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# What asks whether the service is ready gives up itself after a few seconds.
_PROBE_TIMEOUT_S = 3.0


def make_client(settings: Settings) -> "S3Client":
    """Return a client as the settings say; nothing is reached yet."""
    return _client(settings, timeout_s=settings.storage_timeout_s, attempts=settings.storage_attempts)


def make_prober(settings: Settings) -> "S3Client":
    """Return a client that asks once and soon has its answer."""
    return _client(settings, timeout_s=min(settings.storage_timeout_s, _PROBE_TIMEOUT_S), attempts=1)


def _client(settings: Settings, *, timeout_s: float, attempts: int) -> "S3Client":
    access_key, secret_key = settings.storage_access_key, settings.storage_secret_key
    return boto3.session.Session().client(
        "s3",
        endpoint_url=settings.storage_endpoint_url,
        region_name=settings.storage_region,
        # Without them boto3 looks for the machine's own role.
        aws_access_key_id=access_key.get_secret_value() if access_key else None,
        aws_secret_access_key=secret_key.get_secret_value() if secret_key else None,
        config=Config(
            signature_version="s3v4",
            # Signed over their bytes also where https is used: every server checks that. The newer checksums
            # that boto3 adds by default travel in trailers, which many servers but Amazon's refuse.
            s3={"addressing_style": settings.storage_addressing, "payload_signing_enabled": True},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=timeout_s,
            read_timeout=timeout_s,
            # Waits between the tries: up to 1, 2, 4 ... 20 s, at random below that.
            retries={"mode": "standard", "total_max_attempts": attempts},
            # As many as threads may call at a time.
            max_pool_connections=50,
        ),
    )
