"""What a reload applies, and what it leaves for a restart."""

from pathlib import Path
from typing import Any

import pytest

from multicloud.errors import McError
from nodeagent.config.load import Loaded
from nodeagent.config.model import Config
from nodeagent.config.options import options
from nodeagent.config.reload import compare, take


def config(**sections: dict[str, Any]) -> Config:
    node = {"id": "0" * 16, "name": "a", "cluster": "c", "cloud": "aws", "region": "r"}
    return Config.model_validate({"node": node, **sections})


def loaded(origin: str, **sections: dict[str, Any]) -> Loaded:
    return Loaded(config(**sections), dict.fromkeys(options(), origin), Path("/x.toml"))


def test_nothing_changed_is_no_change() -> None:
    change = compare(config(), config())
    assert (change.applied, change.needs_restart) == ((), ())


def test_each_option_goes_by_its_own_rule() -> None:
    new = config(
        join={"peers": ["10.0.0.1:7443"]},
        telemetry={"log_level": "debug", "log_format": "text"},
        listen={"api": "0.0.0.0:7543"},
    )
    change = compare(config(), new)
    assert change.applied == ("join.peers", "telemetry.log_level")
    assert change.needs_restart == ("listen.api", "telemetry.log_format")


def test_in_force_is_what_applies_at_once_and_the_old_rest_with_their_origins() -> None:
    new = loaded("new", telemetry={"log_level": "debug", "log_format": "text"})
    taken, change = take(loaded("old"), new)
    telemetry = taken.config.telemetry
    assert (telemetry.log_level, telemetry.log_format) == ("debug", "json")
    assert taken.origins["telemetry.log_level"] == "new"
    assert taken.origins["telemetry.log_format"] == "old"
    assert change == compare(config(), new.config)


def test_a_mixture_of_old_and_new_that_breaks_a_rule_is_refused() -> None:
    large, small = 16 << 20, 4 << 20
    old = loaded("old", limits={"message_bytes_max": large, "bytes_in_flight_per_peer_max": large})
    new = loaded("new", limits={"message_bytes_max": small, "bytes_in_flight_per_peer_max": small})
    with pytest.raises(McError, match=r"because limits\.message_bytes_max cannot") as caught:
        take(old, new)
    assert [fault.field for fault in caught.value.faults] == ["limits.message_bytes_max"]
