"""The outer envelope of a chunk in numbers: what stands where for ever, and the bounds of it all.

Every level of the format keeps these; a node relays and checks levels that it cannot read.
"""

from struct import Struct

MAGIC = b"\x89MCCHK\r\n"  # The first byte and the line end betray transfers as text.
END_MAGIC = b"MCCHKEND"
HEAD = Struct(">8sHH")  # MAGIC, header_bytes, level: a chunk's first bytes.
COUNT = Struct(">I")  # frame_count: a trailer's first bytes.
ENTRY = Struct(">I32s")  # sealed_bytes and leaf of one frame.
END = Struct(">I8s")  # trailer_bytes, END_MAGIC: a chunk's last bytes.

HASH_BYTES = 32
HEADER_BYTES_MAX = 1024
FRAMES_MAX = 1024
FRAME_SEALED_BYTES_MAX = (2 << 20) + (64 << 10)
TRAILER_EXTRA_BYTES_MAX = 1024
TRAILER_BYTES_MAX = COUNT.size + FRAMES_MAX * ENTRY.size + TRAILER_EXTRA_BYTES_MAX + END.size
