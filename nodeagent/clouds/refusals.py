"""What buckets refuse, in the same words whichever cloud it is."""

from multicloud.errors import McError
from nodeagent.clouds.contract import Place


def uri(place: Place, key: str) -> str:
    """`s3://bucket/key`, with the endpoint where it is not the cloud itself."""
    return f"{place.uri}/{key}" + (f" at {place.endpoint}" if place.endpoint else "")


def not_found(place: Place, key: str) -> McError:
    return McError("NOT_FOUND", f"there is no {uri(place, key)}")


def no_bucket(place: Place) -> McError:
    at = f" at {place.endpoint}" if place.endpoint else ""
    next_ = "check the name and the region, or make the bucket: nodes never do"
    return McError("NOT_FOUND", f"there is no bucket {place.uri}{at}", next=next_)


def changed(place: Place, key: str, pin: str) -> McError:
    what = f"{uri(place, key)} changed since it was listed: it is no longer the state {pin}"
    return McError("CHANGED", what)


def exists(place: Place, key: str) -> McError:
    return McError("ALREADY_EXISTS", f"there is a {uri(place, key)} already")


def other_size(place: Place, key: str, asked: int, came: int) -> McError:
    what = f"{came} bytes of {uri(place, key)} came, {asked} were asked for"
    return McError("DAMAGE", what, next="look at what stands between this node and the cloud")


def not_as_announced(place: Place, key: str, announced: int, came: int) -> McError:
    more = "more" if came > announced else "only"
    what = f"{uri(place, key)} was announced with {announced} bytes and {more} {came} came"
    return McError("DAMAGE", f"{what}; nothing was put", next="put it again from the start")


def spoilt(place: Place, key: str, checksum: str) -> McError:
    what = f"the {checksum} of {uri(place, key)} is not that of the bytes"
    return McError("DAMAGE", what, next="look at what stands between this node and the cloud")
