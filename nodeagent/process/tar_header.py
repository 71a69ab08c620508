"""The header of a tar's member. Most are simple ones, which tarfile makes ten times as slowly."""

import tarfile

_NAME_BYTES = 100
_SIZE_MAX = 8**11
_MODE_TO_GROUP = b"0000644\0" + b"0000000\0" * 2
_TIME = b"00000000000\0"
_BLANK_SUM = b" " * 8
_TYPE_TO_END = (b"0" + bytes(100) + b"ustar\x0000").ljust(tarfile.BLOCKSIZE - 156, b"\0")
_FIXED_SUM = sum(_MODE_TO_GROUP) + sum(_TIME) + sum(_BLANK_SUM) + sum(_TYPE_TO_END)


def tar_header(name: str, size_bytes: int) -> bytes:
    """Of a regular file, 0644, without owner and time, so that it is the same everywhere."""
    if name.isascii() and 0 < len(name) <= _NAME_BYTES and size_bytes < _SIZE_MAX:
        text, size = name.encode(), b"%011o\0" % size_bytes
        checksum = b"%06o\0 " % (_FIXED_SUM + sum(text) + sum(size))
        name_block = text.ljust(_NAME_BYTES, b"\0")
        return b"".join((name_block, _MODE_TO_GROUP, size, _TIME, checksum, _TYPE_TO_END))
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size_bytes, 0o644, 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
