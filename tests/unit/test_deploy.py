"""The examples in deploy/ fit the code: metrics exist, ports are right, remedies are given."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodeagent.config.options import options
from nodeagent.rpc import checks
from nodeagent.telemetry.metrics import LABELS, METRICS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = {"s": "_seconds", "By": "_bytes"}  # The others have no name there.
RULES = yaml.safe_load((DEPLOY / "prometheus" / "multicloud.rules.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
FUNCTIONS = {"sum", "by", "rate", "increase", "histogram_quantile", "up", "job", "instance", "le"}


def shown(name: str) -> set[str]:
    """How Prometheus shows a metric."""
    metric = METRICS[name]
    base = name.replace(".", "_") + UNITS.get(metric.unit, "")
    ends = {"observe": ("_bucket", "_sum", "_count"), "count": ("_total",), "gauge": ("",)}
    return {base + end for end in ends[metric.kind]}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_is_about_metrics_that_exist_and_says_what_to_do(alert: dict[str, Any]) -> None:
    words = set(re.findall(r"[a-z][a-z_]+", re.sub(r'"[^"]*"|\[\w+\]', "", alert["expr"])))
    metrics = {name for metric in METRICS for name in shown(metric)}
    labels = {label.replace(".", "_") for label in LABELS.values()}
    assert words - FUNCTIONS - metrics - labels == set()
    assert words & (metrics | {"up"})
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["next"]


def test_alerts_about_certificates_come_when_mcctl_check_says_so() -> None:
    days = [
        int(found[1])
        for alert in ALERTS
        if (found := re.search(r"certificate\w+ < (\d+) \* 86400", alert["expr"]))
    ]
    assert days == [checks.CERTIFICATE_WARN_DAYS, checks.CERTIFICATE_ALARM_DAYS]


def test_prometheus_asks_where_a_node_listens() -> None:
    example = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = example["scrape_configs"]
    assert job["static_configs"] == [{"targets": [options()["listen.http"].default]}]
    assert [(DEPLOY / "prometheus" / name).exists() for name in example["rule_files"]] == [True]


def test_jaeger_listens_on_loopback_and_every_part_of_it_is_defined() -> None:
    jaeger = yaml.safe_load((DEPLOY / "jaeger.yaml").read_text())
    assert set(jaeger["service"]["extensions"]) == set(jaeger["extensions"])
    (pipeline,) = jaeger["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(jaeger[kind])
    backends = set(jaeger["extensions"]["jaeger_storage"]["backends"])
    assert {jaeger["extensions"]["jaeger_query"]["storage"]["traces"]} == backends
    assert {jaeger["exporters"]["jaeger_storage_exporter"]["trace_storage"]} == backends
    form = r'endpoint: "(.*):\$\{env:JAEGER_[A-Z]+_PORT:-(\d+)\}"'
    found = re.findall(form, (DEPLOY / "jaeger.yaml").read_text())
    assert {host for host, _ in found} == {"${env:JAEGER_LISTEN_HOST:-127.0.0.1}"}
    assert {int(port) for _, port in found} == {13133, 16686, 16685, 4317}
