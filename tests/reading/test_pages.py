"""Every Python block of the pages about reading runs, in order, as a reader would type it."""

import re
from pathlib import Path

import pytest

from tests.reading.conftest import Person
from tests.reading.endpoint import Endpoint

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BEGIN = """
import contextlib, fsspec, io, json, os, sys
from multicloud.fs import McFileSystem
fsspec.register_implementation("mc", McFileSystem, clobber=True)  # As an installation does it.
URL, KEY, SECRET, CA = sys.argv[1:5]
os.environ["SSL_CERT_FILE"] = CA
"""


@pytest.mark.parametrize("page", ["python.md", "s3.md"])
async def test_every_python_block_of_a_page_runs(page: str, person: Person, s3: Endpoint) -> None:
    blocks = _BLOCK.findall((DOCS / page).read_text())
    assert blocks
    program = BEGIN + "with contextlib.redirect_stdout(io.StringIO()):\n"
    whole = "\n".join(blocks)
    program += f"    exec(compile({whole!r}, {page!r}, 'exec'), globals())\n"
    program += "print(json.dumps('ran'))\n"
    assert await person.runs(program, s3.url, *await s3.key(), str(s3.ca)) == ["ran"]
