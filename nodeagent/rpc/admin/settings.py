"""A running node's configuration: what it is, where each value came from, and reading it again."""

from dataclasses import dataclass
from typing import Protocol

from multicloud.v1 import admin_pb2
from nodeagent.rpc.admin.passing import Passing
from nodeagent.rpc.call import Call


class Settings(Protocol):
    """The configuration in force."""

    def explained(self) -> list[admin_pb2.ConfigValue]: ...
    async def reload(self) -> tuple[list[str], list[str]]:
        """What was applied, and what waits for a restart. Raises when the file is bad."""


@dataclass(slots=True)
class ConfigAdmin:
    passing: Passing
    settings: Settings

    async def get_config(
        self, request: admin_pb2.GetConfigRequest, call: Call
    ) -> admin_pb2.GetConfigResponse:
        passed = await self.passing.answer(request, admin_pb2.GetConfigResponse, call)
        return passed or admin_pb2.GetConfigResponse(values=self.settings.explained())

    async def reload_config(
        self, request: admin_pb2.ReloadConfigRequest, call: Call
    ) -> admin_pb2.ReloadConfigResponse:
        passed = await self.passing.answer(request, admin_pb2.ReloadConfigResponse, call)
        if passed:
            return passed  # type: ignore[no-any-return]
        applied, needs_restart = await self.settings.reload()
        return admin_pb2.ReloadConfigResponse(applied=applied, needs_restart=needs_restart)
