"""Pipelines and steps as plain data, for whoever shows them."""

from typing import Any

from nodeagent.core.pipeline.model import ON_BAD, Pipeline, pipeline_hash
from nodeagent.core.pipeline.steps import STEPS

_JUDGING = (
    ("on_bad", " | ".join(ON_BAD), "quarantine", "What becomes of a bad record."),
    ("fail_above", "a number from 0 to 1", 1.0, "A larger share of bad records stops the job."),
)


def described() -> list[dict[str, Any]]:
    """Every step with its options."""
    found = []
    for name, kind in STEPS.items():
        options = [
            {
                "key": key,
                "kind": option.kind.value,
                "required": option.required,
                "default": None if option.required else option.default,
                "why": option.why,
            }
            for key, option in kind.options.items()
        ]
        if kind.judges:
            options += [
                {"key": key, "kind": takes, "required": False, "default": default, "why": why}
                for key, takes, default, why in _JUDGING
            ]
        found.append({"use": name, "why": kind.why, "options": options, "example": kind.example})
    return found


def pipeline_facts(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "hash": pipeline_hash(pipeline),
        "input": pipeline.input,
        "steps": [step.use for step in pipeline.steps],
        "calls": list(pipeline.calls),
        "output": pipeline.output.format,
    }
