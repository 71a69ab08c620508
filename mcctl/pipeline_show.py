"""How `mcctl pipeline` shows steps and trials: plain data for scripts, tables for people."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcctl.blocks import Block, Cell, Table
from mcctl.plain import Plain
from mcctl.sizes import human
from multicloud.errors import McError

if TYPE_CHECKING:
    from nodeagent.process.trial import Trial

CELL_MAX = 60


def steps_value(only: str) -> list[dict[str, Any]]:
    from nodeagent.process.described import described

    found = described()
    names = [step["use"] for step in found]
    if only and only not in names:
        what = f"there is no step {only!r}; there are {', '.join(names)}"
        raise McError("NOT_FOUND", what, next="`mcctl pipeline steps` lists them")
    return [step for step in found if only in ("", step["use"])]


def steps_blocks(steps: Sequence[dict[str, Any]], *, full: bool) -> list[Block]:
    if not full:
        rows = [[step["use"], step["why"]] for step in steps]
        return [Table(["STEP", "DOES"], rows), "\n`mcctl pipeline steps STEP` shows its options."]
    blocks: list[Block] = []
    for step in steps:
        rows = [
            [o["key"], o["kind"], "required" if o["required"] else _value(o["default"]), o["why"]]
            for o in step["options"]
        ]
        blocks += [step["why"], "", Table(["OPTION", "TAKES", "DEFAULT", "WHY"], rows)]
        blocks += ["", f'[[step]]\nuse = "{step["use"]}"\n{step["example"]}']
    return blocks


def trial_value(found: "Trial", sample: Path) -> dict[str, Plain]:
    return {
        "pipeline": found.pipeline,
        "sample": str(sample),
        "passes_through": found.passes_through,
        "before": found.before,
        "after": found.after,
        "columns": {name: kind for name, kind in found.columns},
        "quarantined": [
            {
                "step": bad.step,
                "reason": bad.reason,
                "path": bad.path,
                "offset_bytes": bad.offset_bytes,
                "record": bad.record.decode(errors="replace"),
            }
            for bad in found.quarantined
        ],
        "steps": [asdict(counts) for counts in found.counts],
        "files": [{"path": path, "bytes": size} for path, size in found.files.items()],
        "hopeless": found.hopeless,
    }


def trial_blocks(found: "Trial", show: int) -> list[Block]:
    if found.passes_through:
        return ["no step looks at records: the bytes pass through as they are"]
    blocks: list[Block] = []
    for title, records in (("before", found.before), ("after", found.after)):
        blocks.append(Cell(f"{title}: {len(records)} records", "bold"))
        if records:
            blocks.append(_records(records[:show]))
        blocks.append("")
    if found.quarantined:
        blocks.append(Cell(f"quarantined: {len(found.quarantined)}", "bold yellow"))
        rows = [
            [bad.step, str(bad.offset_bytes), bad.reason, _cut(bad.record.decode(errors="replace"))]
            for bad in found.quarantined[:show]
        ]
        blocks += [Table(["STEP", ">AT BYTE", "WHY", "RECORD"], rows), ""]
    columns = ["STEP", ">IN", ">OUT", ">FILTERED", ">DROPPED", ">QUARANTINED"]
    counts = [[str(value) for value in asdict(one).values()] for one in found.counts]
    blocks.append(Table(columns, counts))
    if found.files:
        blocks += ["", Table(["FILE", ">BYTES"], [[p, human(s)] for p, s in found.files.items()])]
    return blocks


def _records(records: Sequence[Any]) -> Table:
    columns = list(dict.fromkeys(key for record in records for key in record))
    rows = [[_cut(_value(record.get(key))) for key in columns] for record in records]
    return Table(columns, rows)


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= CELL_MAX else f"{line[: CELL_MAX - 1]}…"
