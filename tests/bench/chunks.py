"""What sealing, opening and checking a chunk cost one thread, beside hash and cipher alone."""

import os
import time
from collections.abc import AsyncIterator, Callable

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nodeagent.core.chunk import envelope
from nodeagent.core.chunk.codec import Codec, choose
from nodeagent.core.chunk.header import FRAME_BYTES
from nodeagent.core.chunk.keys import DatasetKey
from nodeagent.core.chunk.open import Opener
from nodeagent.core.chunk.seal import Sealer
from nodeagent.memory import raise_malloc_thresholds
from tests.bench import payload
from tests.bench.frame import Row, Say, row

RUNS = 7
CHUNK_MIB = 64
Parts = tuple[bytes, list[bytes], bytes, bytes]


async def rows(say: Say) -> AsyncIterator[Row]:
    raise_malloc_thresholds()  # As the daemon does first of all.
    key = DatasetKey(os.urandom(16), os.urandom(32))
    for name, plain in (
        ("noise", payload.noise(CHUNK_MIB << 20)),
        ("text", payload.text(CHUNK_MIB << 20)),
    ):
        codec = choose(plain[:FRAME_BYTES])
        say(f"{name}: {CHUNK_MIB} MiB, codec {codec.name}")
        parts = _sealed(key, plain, codec, keep=True)
        share = sum(map(len, parts[1])) / len(plain)
        how = f"{CHUNK_MIB} MiB, one thread, codec {codec.name}, sealed to {share:.2f}"
        for what, work in (
            ("seal", lambda p=plain, c=codec: _sealed(key, p, c, keep=False)),
            ("open, verified", lambda p=parts: _opened(key, p)),
            ("check without a key", lambda p=parts: _checked(p)),
        ):
            yield _speed(f"{what}, {name}", work, how)
    noise = payload.noise(CHUNK_MIB << 20)
    out, cipher = bytearray(len(noise) + 16), AESGCM(key.secret)
    yield _speed("BLAKE3 alone", lambda: blake3(noise).digest(), "in one call")
    alone = "in one call, into a reused buffer"
    yield _speed(
        "AES-256-GCM alone", lambda: cipher.encrypt_into(bytes(12), noise, b"", out), alone
    )
    frame = noise[:FRAME_BYTES]
    yield row("choosing the codec", [_took_s(lambda: choose(frame)) * 1e6 for _ in range(50)], "µs",
              "12 KiB of a frame of noise")  # fmt: skip


def _speed(what: str, work: Callable[[], object], how: str) -> Row:
    samples = [CHUNK_MIB / _took_s(work) for _ in range(RUNS)]
    return row(what, samples, "MiB per CPU second", how, more_is_better=True)


def _took_s(work: Callable[[], object]) -> float:
    """Of the processor: others who are busy beside this change it little."""
    begun_s = time.thread_time()
    work()
    return time.thread_time() - begun_s


def _sealed(key: DatasetKey, plain: bytes, codec: Codec, *, keep: bool) -> Parts:
    sealer = Sealer(key, salt=os.urandom(32), codec=codec, plain_bytes=len(plain))
    frames = [bytes(frame.data) if keep else b"" for frame in sealer.add(plain)]
    end = sealer.finish()
    return sealer.header, [*frames, bytes(end.frame.data)], end.trailer, end.chunk_id


def _opened(key: DatasetKey, parts: Parts) -> None:
    header, frames, trailer, chunk_id = parts
    opener = Opener(envelope.parse(header, trailer, chunk_id), key)
    check = opener.plain_check()
    for index, frame in enumerate(frames):
        check.add(opener.open_frame(index, frame))
    check.finish()


def _checked(parts: Parts) -> None:
    header, frames, trailer, chunk_id = parts
    found = envelope.parse(header, trailer, chunk_id)
    for index, frame in enumerate(frames):
        found.check_frame(index, frame)
