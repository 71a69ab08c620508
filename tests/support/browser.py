"""A real browser without a screen, driven by what Chromium speaks; absent where there is none."""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
START_S_MAX = 30.0
ANSWER_BYTES_MAX = 32 * 1024 * 1024


@dataclass
class Page:
    """One tab. `wrong` is what its console complained of."""

    socket: aiohttp.ClientWebSocketResponse
    wrong: list[str] = field(default_factory=list)
    _number: int = 0

    async def call(self, method: str, **facts: Any) -> dict[str, Any]:
        self._number += 1
        await self.socket.send_json({"id": self._number, "method": method, "params": facts})
        while True:
            said = json.loads((await self.socket.receive(60)).data)
            if said.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.wrong.append(json.dumps(said["params"])[:600])
            if said.get("id") == self._number:
                assert "error" not in said, said
                return dict(said["result"])

    async def run(self, script: str) -> Any:
        found = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str, within_s: float = 30.0) -> None:
        """Waits until the page says true."""
        try:
            async with asyncio.timeout(within_s):
                while not await self.run(f"Boolean({script})"):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            shown = await self.run("document.body.innerText")
            raise AssertionError(f"never: {script}\n{shown}") from None

    async def looks(self, width: int, height: int, *, dark: bool = False) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, path: Path) -> None:
        found = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    assert CHROMIUM is not None
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, *options, "--remote-debugging-port=0", f"--user-data-dir={folder}"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = folder / "DevToolsActivePort"
        async with asyncio.timeout(START_S_MAX):
            while not port.exists() or not port.read_text().count("\n"):
                await asyncio.sleep(0.05)
        at = f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        async with aiohttp.ClientSession() as session:
            async with session.put(f"{at}/json/new?about:blank") as answer:
                address = (await answer.json(content_type=None))["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=ANSWER_BYTES_MAX) as socket:
                page = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                yield page
    finally:
        process.terminate()
        await process.wait()
