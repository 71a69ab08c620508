"""The demonstration's training set: the pipeline makes of it what the set says, byte by byte."""

import hashlib
from pathlib import Path

from mcctl.dev.demo_data import PIPELINE, digests, make
from tests.process.tasks import run


def test_the_pipeline_makes_of_the_set_what_the_set_says(tmp_path: Path) -> None:
    made = make(tmp_path, 8)
    files = {path.name: path.read_bytes() for path in sorted(made.folder.iterdir())}
    result = run(PIPELINE, files)
    came = {path: hashlib.sha256(data).hexdigest() for path, data in result.files.items()}
    assert came == made.expected
    assert len(result.quarantined) == made.bad == len(files)
    assert result.counts[0].records_in == made.records + made.bad
    assert result.counts[-1].records_out == made.records - made.filtered < made.records
    assert made.bytes == sum(map(len, files.values())) >= 8 << 20


def test_the_same_size_is_the_same_set(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, two = make(tmp_path / "a", 1), make(tmp_path / "b", 1)
    assert one.expected == two.expected
    assert digests(one.folder) == digests(two.folder)
    assert digests(one.folder) != one.expected, "the pipeline changes something"
