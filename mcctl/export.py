"""`mcctl export`: a version's files as plain objects of a bucket, with a manifest beside them."""

import time
from contextlib import ExitStack
from typing import Annotated, Any

import typer

from mcctl import reach, show
from mcctl.cli import run_async
from mcctl.datasets import Where, shown, split
from mcctl.plan import border_table, borders
from mcctl.show import Block, Cell, Table
from mcctl.sizes import human
from multicloud.client import Client
from multicloud.errors import McError
from multicloud.v1 import export_pb2
from multicloud.v1.export_pb2_grpc import ExportServiceStub

EXPORT_S_MAX = 7 * 24 * 3600.0
SHOWN_MAX = 10
Answer = export_pb2.ExportVersionResponse


def export(
    where: Where,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="s3://BUCKET/prefix/, gs://…, az://ACCOUNT/CONTAINER/prefix/."
        ),
    ],
    include: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Only these paths; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="GLOB", help="Not these paths; repeatable.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace objects that are there and differ.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only what it would do.")] = False,
) -> int:
    """Write the files of a version into a bucket, as they were, with a manifest.

    The nodes near the bucket write, with their own credentials. Run it again to go on: what is
    there and right is not written again. An object that differs is left and named (exit 1), unless
    you say --overwrite.
    """
    name, version = split(where)
    request = export_pb2.ExportVersionRequest(
        name=name,
        version=version,
        target=target,
        overwrite=overwrite,
        include=include or (),
        exclude=exclude or (),
    )
    exporting = Exporting(request)
    if not run_async(exporting.run(dry_run)):
        show.note("nothing was exported")
        return 1
    show.emit(exporting.value(), exporting.screen())
    return 1 if exporting.last.files_failed else 0


class Exporting:
    def __init__(self, request: export_pb2.ExportVersionRequest) -> None:
        self._request = request
        self._began_s = time.monotonic()
        self._dry = False
        self.last = Answer()
        self.faults: list[export_pb2.ExportFault] = []

    async def run(self, dry_run: bool) -> bool:
        """False: somebody did not want to pay for it."""
        async with reach.client() as client:
            await self._follow(client, validate_only=True)
            self._dry = dry_run
            if dry_run:
                return True
            if not self._may_cost(client.context.confirm_usd):
                return False
            self._request.version = self.last.version  # A newer one may come meanwhile.
            await self._follow(client, validate_only=False)
        return True

    async def _follow(self, client: Client, *, validate_only: bool) -> None:
        self._request.validate_only = validate_only
        stub = client.stub(ExportServiceStub)
        answers = stub.ExportVersion(self._request, timeout=EXPORT_S_MAX)
        with ExitStack() as stack:
            live = show.on_terminal() and not validate_only
            draw = stack.enter_context(show.redrawn()) if live else None
            try:
                async for answer in answers:
                    self.last = answer
                    self.faults += answer.faults
                    if draw is not None:
                        draw([self._line()])
            except McError as error:
                if validate_only:
                    raise
                done = self.last.files_written + self.last.files_there
                error.next = f"{error.next} ({done} of {self.last.files} files are there)"
                raise

    def _may_cost(self, limit_usd: float) -> bool:
        usd = self.last.cost.planned_usd
        if usd <= limit_usd:
            return True
        return show.confirm(f"It would cost ${usd:.2f}, more than ${limit_usd:.2f}. Export it?")

    def _line(self) -> Block:
        last = self.last
        seconds = max(0.001, time.monotonic() - self._began_s)
        done = last.files_written + last.files_there
        rate = human(int(last.bytes_written / seconds))
        return f"{done} of {last.files} files, {human(last.bytes_written)} written, {rate}/s"

    def value(self) -> dict[str, Any]:
        """As documented for `mcctl export -o json`: the receipt."""
        last = self.last
        return {
            "dataset": self._request.name,
            "version": last.version,
            "target": self._request.target,
            "files": last.files,
            "bytes": last.bytes,
            "written": last.files_written,
            "already": last.files_there,
            "failed": last.files_failed,
            "bytes_written": last.bytes_written,
            "manifest": last.manifest or None,
            "writers": list(last.writers),
            "unable": [
                {"node": one.node, "reason": one.reason, "message": one.message}
                for one in last.unable
            ],
            "wan_bytes": borders(last.cost),
            "usd": {
                "planned": round(last.cost.planned_usd, 4),
                "prices_of": last.cost.prices_date or None,
            },
            "faults": [
                {"path": shown(one.path), "reason": one.reason, "message": one.message}
                for one in self.faults
            ],
            "seconds": round(time.monotonic() - self._began_s, 3),
        }

    def screen(self) -> list[Block]:
        last, target = self.last, self._request.target
        which = f"{self._request.name}@{last.version}"
        usd = f"${last.cost.planned_usd:.2f} at prices of {last.cost.prices_date}"
        writers = ", ".join(last.writers)
        if self._dry:
            said = f"{last.files} files of {which}, {human(last.bytes)}, would go to {target}"
            blocks: list[Block] = [said, f"written by {writers}", Cell(usd, "bold")]
        else:
            said = f"{last.files_written} files of {which} are written to {target}"
            if last.files_there:
                said += f", {last.files_there} were there already"
            blocks = [said, f"{human(last.bytes_written)} by {writers}, about {usd}"]
        if crossing := borders(last.cost):
            blocks.append(border_table(crossing))
        blocks += [Cell(f"{one.node} cannot: {one.message}", "yellow") for one in last.unable]
        if self.faults:
            rows = [[shown(one.path), one.message] for one in self.faults[:SHOWN_MAX]]
            blocks.append(Table(("NOT WRITTEN", "WHY"), rows))
            more = last.files_failed - len(rows)
            blocks.append(
                f"and {more} more; no manifest was written" if more else "no manifest was written"
            )
        elif last.manifest:
            blocks.append(f"manifest: {last.manifest}")
        return blocks
