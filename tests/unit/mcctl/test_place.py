"""What `mcctl place` reads and draws."""

import pytest

from mcctl.place import drawing
from mcctl.sizes import human, size_bytes
from multicloud.errors import McError


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("64MiB", 64 << 20), ("1.5 GB", 1_500_000_000), ("2tib", 2 << 40), ("7B", 7)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1,5GB", "64 megs", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(McError, match="is no size"):
        size_bytes(text)


def test_sizes_are_shown_in_the_largest_unit() -> None:
    assert [human(n) for n in (0, 1023, 64 << 20, 3 << 39)] == [
        "0 B",
        "1023 B",
        "64 MiB",
        "1.5 TiB",
    ]


def test_a_tree_is_drawn_with_its_branches() -> None:
    edges = [("s", "a", 0.09, 1.9), ("s", "b", 0.12, 80.0), ("a", "c", 0.0, 0.034)]
    tree = [{"from": f, "to": t, "usd_per_gb": usd, "ms": ms} for f, t, usd, ms in edges]
    assert drawing("s", tree, ["a", "b", "c"]) == [
        "s",
        "├─ $0.09/GB, 1.9 ms ─ a",
        "│  └─ free, <0.1 ms ─ c",
        "└─ $0.12/GB, 80.0 ms ─ b",
    ]
    assert drawing("s", [], ["s"]) == ["s (keeps a copy)"]
