"""Sealing takes a few frames of memory, whatever the size of the chunk; so does opening."""

import subprocess
import sys

import pytest

from nodeagent.core.chunk.codec import Codec

CHUNK_MIB = 256
GROWTH_MIB_MAX = 12
CODE = """
import os, resource, sys
from nodeagent.core.chunk import envelope
from nodeagent.core.chunk.codec import Codec
from nodeagent.core.chunk.open import Opener
from nodeagent.core.chunk.seal import Sealer
from tests.support.chunks import KEY, SALT

def peak_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

piece = os.urandom(1 << 19) + bytes(1 << 19)
sealer = Sealer(KEY, salt=SALT, codec=Codec(int(sys.argv[1])))
before = peak_kib()
for _ in range(int(sys.argv[2])):
    for frame in sealer.add(piece):
        pass
end = sealer.finish()
opener = Opener(envelope.parse(sealer.header, end.trailer, end.chunk_id), KEY)
for _ in range(int(sys.argv[2])):
    assert opener.open_frame(end.frame.index, end.frame.data) == piece
print((peak_kib() - before) / 1024, opener.plain_bytes >> 20)
"""


@pytest.mark.parametrize("codec", Codec)
def test_256_mebibytes_are_sealed_and_opened_in_a_few_frames_of_memory(codec: Codec) -> None:
    command = [sys.executable, "-c", CODE, str(int(codec)), str(CHUNK_MIB)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    grown_mib, plain_mib = map(float, done.stdout.split())
    assert plain_mib == CHUNK_MIB
    assert grown_mib < GROWTH_MIB_MAX
