"""Which nodes a dev cluster has, and where each pretends to stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from string import ascii_lowercase

from multicloud.errors import McError

NODES_MAX = 20
NODES_DEFAULT = 6
CLOUDS_DEFAULT = 3

# The first region of each cloud is where its first two nodes stand, in different zones.
_CLOUDS: dict[str, tuple[tuple[str, ...], str]] = {
    "aws": (("us-east-1", "eu-west-1", "us-west-2", "ap-northeast-1"), "abcdef"),
    "gcp": (("us-central1", "europe-west4", "us-east4", "asia-northeast1"), "abcdef"),
    "azure": (("westeurope", "eastus", "westus", "japaneast"), "123456"),
}
CLOUDS_MAX = len(_CLOUDS)
NODES_PER_REGION = 2


@dataclass(frozen=True, slots=True)
class Place:
    """A node before it has an identity: its name, and where it pretends to stand."""

    name: str
    cloud: str
    region: str
    zone: str

    @property
    def words(self) -> tuple[str, ...]:
        """What this node answers to in `dev cut A B`: its name, region or cloud."""
        return (self.name, self.region, f"{self.cloud}/{self.region}", self.cloud)


def plan(nodes: int, clouds: int) -> list[Place]:
    """The nodes, spread evenly: aws-a, gcp-a, azure-a, aws-b and so on, in the order of clouds."""
    if not 1 <= nodes <= NODES_MAX:
        raise McError("USAGE", f"--nodes {nodes}: a dev cluster has 1 to {NODES_MAX} nodes")
    if not 1 <= clouds <= CLOUDS_MAX:
        raise McError("USAGE", f"--clouds {clouds}: there are 1 to {CLOUDS_MAX} ({_known()})")
    used = list(_CLOUDS)[:clouds]
    share = {cloud: len(range(i, nodes, clouds)) for i, cloud in enumerate(used)}
    return [_place(cloud, index) for cloud in used for index in range(share[cloud])]


def _place(cloud: str, index: int) -> Place:
    regions, zones = _CLOUDS[cloud]
    lap, spot = divmod(index, NODES_PER_REGION * len(regions))
    zone = zones[lap * NODES_PER_REGION + spot % NODES_PER_REGION]
    region = regions[spot // NODES_PER_REGION]
    return Place(f"{cloud}-{ascii_lowercase[index]}", cloud, region, zone)


def _known() -> str:
    return ", ".join(_CLOUDS)


def find(places: Sequence[Place], word: str) -> list[Place]:
    """The nodes that a word means: a node, a region (with or without its cloud), or a cloud."""
    found = [place for place in places if word in place.words]
    if not found:
        words = sorted({word for place in places for word in place.words})
        near = get_close_matches(word, words, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise McError(
            "NODE_UNKNOWN",
            f"{word!r} is no node, region or cloud of this dev cluster{hint}",
            next=f"one of: {', '.join(words)}",
        )
    return found
