"""AccessService: admins issue, list and revoke the keys of the S3 endpoint, on any node."""

from dataclasses import dataclass

from multicloud.v1 import access_pb2
from nodeagent.rpc.call import Call
from nodeagent.rpc.pages import page
from nodeagent.s3.keys import AccessKeys


@dataclass(slots=True)
class AccessService:
    keys: AccessKeys

    async def issue_key(
        self, request: access_pb2.IssueKeyRequest, call: Call
    ) -> access_pb2.IssueKeyResponse:
        key, secret = await self.keys.issue(request)
        return access_pb2.IssueKeyResponse(key=key, secret=secret)

    async def list_keys(
        self, request: access_pb2.ListKeysRequest, call: Call
    ) -> access_pb2.ListKeysResponse:
        given, token = page(self.keys.all(), request.page_size, request.page_token, _page_key)
        return access_pb2.ListKeysResponse(keys=given, next_page_token=token)

    async def revoke_key(
        self, request: access_pb2.RevokeKeyRequest, call: Call
    ) -> access_pb2.RevokeKeyResponse:
        return access_pb2.RevokeKeyResponse(key=await self.keys.revoke(request.id))


def _page_key(key: access_pb2.AccessKey) -> str:
    return f"{key.name}\0{key.created_unix_ms:020}\0{key.id}"
