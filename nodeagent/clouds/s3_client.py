"""A client of boto3 as our driver wants it: no retries of its own, keys read anew, no odd ways."""

from typing import TYPE_CHECKING, Any

from nodeagent.clouds.credentials import Secret, access_key
from nodeagent.clouds.way import Way

if TYPE_CHECKING:
    from botocore.client import BaseClient


def client_of(way: Way) -> "BaseClient":
    """Blocks, and takes most of a second: the SDK is imported here."""
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    session = botocore.session.Session()
    config = Config(
        signature_version=UNSIGNED if way.credentials.anonymous else None,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=way.requests_at_once_max,
        connect_timeout=way.connect_timeout_s,
        read_timeout=way.read_timeout_s,
        tcp_keepalive=True,
        # Checksums are made and compared by the driver, in both profiles.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if way.url else "auto"},
        user_agent_extra="multicloud",
    )
    if not (way.credentials.chain or way.credentials.anonymous):
        _sign_with(session, way.credentials)
    return session.create_client(
        "s3",
        region_name=way.region or (None if not way.url else "us-east-1"),
        endpoint_url=way.url or None,
        verify=str(way.ca_file) if way.ca_file else None,
        config=config,
    )


def _sign_with(session: Any, secret: Secret) -> None:
    """Each request asks for the keys, so renewed ones count from the next request on."""
    from botocore.credentials import Credentials, ReadOnlyCredentials

    class Referred(Credentials):  # type: ignore[misc]
        def get_frozen_credentials(self) -> Any:
            key = access_key(secret)
            return ReadOnlyCredentials(key.id, key.secret, key.token)

    class Provider:
        METHOD = CANONICAL_NAME = "multicloud"

        def load(self) -> Any:
            return Referred("referred", "referred")

    session.get_component("credential_provider").providers.insert(0, Provider())
