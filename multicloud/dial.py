"""Dials nodes: one channel to the one that is meant, or the first of several that stands."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc

from multicloud.calls import Calls
from multicloud.channel import open_channel
from multicloud.context import Endpoint
from multicloud.credentials import Credentials
from multicloud.errors import McError
from multicloud.v1 import admin_pb2_grpc
from multicloud.whois import Shown, diagnose, shown_by

if TYPE_CHECKING:
    from multicloud.v1.admin_pb2_grpc import AdminServiceAsyncStub

Stub = TypeVar("Stub")


class Connection:
    """One channel to one node, which is who it claims to be."""

    def __init__(self, node: Endpoint, channel: grpc.aio.Channel, call_timeout_s: float) -> None:
        self.node = node
        self._channel = channel
        self._calls = Calls(channel, node.name or node.address, call_timeout_s=call_timeout_s)

    def stub(self, kind: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """Any service of the node: `connection.stub(HistoryServiceStub)`."""
        return kind(cast(grpc.aio.Channel, self._calls))

    @cached_property
    def admin(self) -> "AdminServiceAsyncStub":
        return self.stub(admin_pb2_grpc.AdminServiceStub)

    async def close(self) -> None:
        await self._channel.close()


async def dial(
    endpoint: Endpoint,
    cluster: str,
    credentials: Credentials,
    *,
    connect_timeout_s: float,
    call_timeout_s: float,
) -> Connection:
    """A connection that stands, or the reason why there is none."""
    endpoint = await identified(endpoint, cluster, credentials, connect_timeout_s)
    dns_name = f"{endpoint.id}.node.{cluster}"
    channel = open_channel(endpoint.address, dns_name, credentials)
    try:
        if await _is_ready(channel, connect_timeout_s):
            return Connection(endpoint, channel, call_timeout_s)
    except BaseException:
        await channel.close()
        raise
    await channel.close()
    raise await diagnose(endpoint.address, dns_name, credentials, connect_timeout_s)


async def identified(
    endpoint: Endpoint, cluster: str, credentials: Credentials, timeout_s: float
) -> Endpoint:
    """With the id of whoever is there, where only an address was known."""
    if endpoint.id:
        return endpoint
    shown = await shown_by(endpoint.address, credentials, timeout_s)
    return Endpoint(_node_id(shown, endpoint.address, cluster), endpoint.name, endpoint.address)


def _node_id(shown: Shown, address: str, cluster: str) -> str:
    ids = [
        name.removesuffix(f".node.{cluster}")
        for name in shown.dns_names
        if name.endswith(f".node.{cluster}")
    ]
    if len(ids) != 1:
        found = ", ".join(shown.uris) or "somebody without a name"
        raise McError("WRONG_PEER", f"at {address} is {found}, not a node of {cluster}")
    return ids[0]


async def _is_ready(channel: grpc.aio.Channel, timeout_s: float) -> bool:
    """Whether the channel comes up; one failed attempt is an answer."""
    state = channel.get_state(try_to_connect=True)
    try:
        async with asyncio.timeout(timeout_s):
            while state != grpc.ChannelConnectivity.READY:
                if state == grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    return False
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
    except TimeoutError:
        return False
    return True


async def first_of(
    dials: Sequence[Coroutine[Any, Any, Connection]], stagger_s: float
) -> Connection:
    """The first connection that stands. Later ones begin when earlier ones fail or take long."""
    waiting = list(dials)
    running: set[asyncio.Task[Connection]] = set()
    failures: list[McError] = []
    won: Connection | None = None
    try:
        while won is None and (waiting or running):
            if waiting:
                running.add(asyncio.create_task(waiting.pop(0)))
            done, running = await asyncio.wait(
                running,
                timeout=stagger_s if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                try:
                    connection = task.result()
                except McError as error:
                    failures.append(error)
                    continue
                if won is None:
                    won = connection
                else:
                    await connection.close()
    finally:
        for unused in waiting:
            unused.close()
        await _end(running)
    if won is None:
        raise _all_failed(failures)
    return won


async def _end(running: set[asyncio.Task[Connection]]) -> None:
    for task in running:
        task.cancel()
    for ended in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(ended, Connection):  # It stood at the very moment it was not needed.
            await ended.close()


def _all_failed(failures: Sequence[McError]) -> McError:
    if len(failures) == 1:
        return failures[0]
    reasons = {failure.reason for failure in failures}
    told = "; ".join(failure.message for failure in failures)
    return McError(
        # One reason for all is the reason; mixed ones are about reaching.
        reasons.pop() if len(reasons) == 1 else "UNREACHABLE",
        f"no node answers: {told}",
        next=failures[0].next,
    )
