"""How other nodes are called: one pinned channel each, made anew when the certificate changes."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from identity.certificate import Holder, read_certificate
from identity.names import Identity
from multicloud.channel import Credentials, explain, open_channel, who_is
from multicloud.errors import McError
from multicloud.status import STATUS_KEY, decode
from nodeagent.rpc.call import ON_BEHALF_KEY, Call
from nodeagent.rpc.roster import Peer
from nodeagent.telemetry import inject

OLD_CHANNEL_GRACE_S = 30.0


@dataclass(slots=True)
class Peers:
    cluster: str
    credentials: Callable[[], Credentials]
    spawn: Callable[[Coroutine[None, None, None]], object]
    _channels: dict[tuple[str, str, int], grpc.aio.Channel] = field(default_factory=dict)

    def dns_name(self, node_id: str) -> str:
        return Identity(self.cluster, "node", node_id).dns_name

    def channel(self, node_id: str, address: str, lane: int = 0) -> grpc.aio.Channel:
        """Each lane is a connection of its own."""
        key = (node_id, address, lane)
        if key not in self._channels:
            self._channels[key] = open_channel(address, self.dns_name(node_id), self.credentials())
        return self._channels[key]

    async def who_is(self, address: str, timeout_s: float) -> Holder:
        """The node behind an address, by the certificate that it shows."""
        holder = read_certificate(await who_is(address, self.credentials(), timeout_s))
        if holder.identity.kind != "node" or holder.identity.cluster != self.cluster:
            said = f"{address} is {holder.identity.uri}, not a node of {self.cluster}"
            raise McError("WRONG_PEER", said)
        return holder

    def explain(self, error: grpc.aio.AioRpcError, address: str) -> McError:
        """Their typed error, or ours about the connection."""
        theirs = any(key == STATUS_KEY for key, _ in error.trailing_metadata() or ())
        return decode(error, address) if theirs else explain(error, address)

    def renew(self) -> None:
        """After a new certificate: new calls take new channels, open ones may finish."""
        old, self._channels = self._channels, {}
        for channel in old.values():
            self.spawn(channel.close(OLD_CHANNEL_GRACE_S))

    def drop(self, node_id: str, address: str, lane: int) -> None:
        """Nobody uses that channel."""
        channel = self._channels.pop((node_id, address, lane), None)
        if channel is not None:
            self.spawn(channel.close(OLD_CHANNEL_GRACE_S))

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def pass_on(self, peer: Peer, request: Message, answer: type[Message], call: Call) -> Any:
        """Sends a caller's request to the node that it names, and says on whose behalf."""
        method = self._path(peer, call).unary_unary(
            call.method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return await method(
                request,
                timeout=call.remaining_s(),
                metadata=_metadata(call),
            )
        except grpc.aio.AioRpcError as error:
            raise decode(error, peer.name) from error

    def pass_on_stream(
        self, peer: Peer, request: Message, answer: type[Message], call: Call
    ) -> Any:
        method = self._path(peer, call).unary_stream(
            call.method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return method(request, timeout=call.deadline_s, metadata=_metadata(call))

    def _path(self, peer: Peer, call: Call) -> grpc.aio.Channel:
        if call.caller.via:
            raise McError("FAILED", f"{call.method} was passed on twice; ask {peer.name} directly")
        if not peer.address:
            raise McError("UNREACHABLE", f"no address of {peer.name} is known here")
        return self.channel(peer.id, peer.address)


def _metadata(call: Call) -> tuple[tuple[str, str | bytes], ...]:
    return ((ON_BEHALF_KEY, call.caller.certificate), *inject())
