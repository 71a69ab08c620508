"""The file of live chunks: whole or an error, and read in two ways that agree."""

from pathlib import Path

import pytest

from multicloud.errors import McError
from nodeagent.upkeep.live_file import LiveFile, LiveFileWitness

IDS = [bytes([n]) * 32 for n in range(3)]


def text(ids: list[bytes], count: int | None = None) -> str:
    return (
        "".join(f"{one.hex()}\n" for one in ids) + f"end {len(ids) if count is None else count}\n"
    )


async def test_without_the_file_nobody_has_said_what_is_live(tmp_path: Path) -> None:
    assert await LiveFile(tmp_path / "live").read() is None
    with pytest.raises(McError, match="cannot be read again"):
        await LiveFileWitness(tmp_path / "live").names(IDS)


async def test_both_readers_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "live"
    for ids in (IDS, IDS[:1], []):
        path.write_text(text(ids))
        live = await LiveFile(path, clock_unix_s=lambda: 5.0).read()
        named, as_of = await LiveFileWitness(path, clock_unix_s=lambda: 6.0).names(IDS)
        assert live is not None
        assert [one in live.chunks for one in IDS] == [named[one] for one in IDS]
        assert [one in ids for one in IDS] == [named[one] for one in IDS]
        assert (live.as_of_unix_s, as_of) == (5.0, 6.0)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        text(IDS)[:-8],  # Without its end,
        text(IDS[:2], 3),  # with fewer than were written,
        text(IDS)[66:],  # without its beginning,
        text(IDS).replace("\n", "", 1),
        text(IDS).replace("01", "zz"),
        "end\n",
        "end x\n",
    ],
)
async def test_a_file_that_is_not_whole_is_an_error_for_both(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "live"
    path.write_text(bad)
    with pytest.raises(McError) as one:
        await LiveFile(path).read()
    assert one.value.reason == "DAMAGE"
    with pytest.raises(McError) as two:
        await LiveFileWitness(path).names(IDS)
    assert two.value.reason == "DAMAGE"
