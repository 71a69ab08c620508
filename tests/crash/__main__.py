"""All scenes with every effort, and what was looked at: the figures of docs/durability.md.

python -m tests.crash [--quick] [scene …]
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.ground import Ground
from tests.crash.points import FULL, QUICK, Effort, Found, Points
from tests.crash.scenes import SCENES


async def search(names: list[str], effort: Effort, seed: int) -> Found:
    every = Found()
    shared = Path("/dev/shm")
    for name in names:
        with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
            started = time.monotonic()
            points = Points(Ground(Path(folder)), seed=seed)
            found = await points.power_cuts(SCENES[name], effort)
            found.add(await points.faults(SCENES[name], effort))
            tell(f"{name}: {found}, {time.monotonic() - started:.0f} s")
            for wrong in found.wrong[:5]:
                tell(f"   {wrong}")
            every.add(found)
    return every


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="scene", help="; ".join(SCENES))
    parser.add_argument("--quick", action="store_true", help="a sample, as `make test` takes it")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    effort = QUICK if asked.quick else FULL
    found = asyncio.run(search(asked.scenes or list(SCENES), effort, asked.seed))
    tell(f"all: {found}; {len(found.wrong)} wrong")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
