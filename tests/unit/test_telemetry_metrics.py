"""Metrics: one table, few labels, one registry per daemon."""

from random import Random
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nodeagent.config import model
from nodeagent.telemetry import Telemetry
from tests.support.otlp import receiving


def telemetry(**options: Any) -> Telemetry:
    node = model.Node(id="a" * 16, name="n", cluster="c", cloud="aws", region="r")
    return Telemetry(model.Telemetry(**options), node, "1", Random(1))


def samples(of: Telemetry) -> dict[str, float]:
    families = text_string_to_metric_families(of.metrics_text().decode())
    return {
        f"{s.name}{sorted(s.labels.items())}": s.value
        for family in families
        for s in family.samples
    }


def test_what_is_counted_measured_and_asked_for_is_on_the_page() -> None:
    seen = telemetry()
    seen.count("mc.calls.limited", limit="deadline")
    seen.count("mc.calls.limited", 2, limit="deadline")
    seen.observe("rpc.server.call.duration", 0.02, method="/a/B", code="OK")
    seen.gauge("mc.peers", lambda: {("alive",): 5, ("down",): 1}, "state")
    found = samples(seen)
    assert found["mc_calls_limited_total[('mc_limit', 'deadline')]"] == 3
    labels = [("rpc_method", "/a/B"), ("rpc_response_status_code", "OK")]
    assert found[f"rpc_server_call_duration_seconds_count{labels}"] == 1
    assert found["mc_peers[('mc_state', 'alive')]"] == 5
    assert found["mc_peers[('mc_state', 'down')]"] == 1
    assert found["mc_spans_dropped[]"] == 0


def test_a_name_or_a_label_without_a_row_is_a_defect() -> None:
    seen = telemetry()
    with pytest.raises(KeyError):
        seen.count("mc.invented")
    with pytest.raises(KeyError):
        seen.count("mc.calls.limited", chunk="4711")
    with pytest.raises(AssertionError):
        seen.observe("mc.calls.limited", 1)


def test_two_daemons_in_one_process_do_not_meet() -> None:
    one, other = telemetry(), telemetry()
    one.count("mc.calls.limited", limit="x")
    assert not any(name.startswith("mc_calls_limited") for name in samples(other))


def test_label_values_from_outside_cannot_fill_the_memory() -> None:
    seen = telemetry()
    for number in range(5000):
        seen.count("mc.calls.limited", limit=f"{number}" + "x" * 10_000)
    page = seen.metrics_text()
    assert page.count(b"mc_calls_limited_total{") <= 2001
    assert len(page) < 500_000


async def test_metrics_reach_a_collector_when_asked_to() -> None:
    async with receiving() as collector:
        seen = telemetry(otlp_endpoint=collector.endpoint, otlp_metrics=True)
        seen.count("mc.calls.limited", limit="x")
        await seen.flush_metrics()
        assert "mc.calls.limited" in collector.metrics
        await seen.stop()
