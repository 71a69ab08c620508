"""Logs: one event and its facts a line, on stdout; JSON for journald, text for a terminal.

Everything goes through one pipe, also what libraries say by `logging`, so that every line
has a time, a level and, inside a span, its ids, and none has a secret.
"""

import json
import logging
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import structlog
from opentelemetry import trace

from nodeagent.telemetry.mask import masked, masked_text
from nodeagent.telemetry.writer import LineWriter

TRACEBACK_CHARS_MAX = 16 << 10
_FIRST = ("ts", "level", "logger", "event")

Event = MutableMapping[str, Any]


def configure(level: str, form: Literal["json", "text"], stream: TextIO | None = None) -> None:
    """Once, at the start. `stream` is stdout unless a test reads along."""
    shared: list[Any] = [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    render = _json if form == "json" else _text
    handler = LineWriter(stream or sys.stdout, lambda count: _about_dropped(count, render))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _finish,
                render,
            ],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        if isinstance(old, LineWriter):
            old.close()
    root.addHandler(handler)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # A closed stdout must not fill stderr instead.
    set_level(level)


def set_level(level: str) -> None:
    """Takes effect at once, also for loggers that exist already."""
    logging.getLogger().setLevel(level.upper())


def flush() -> None:
    """Waits until what was said is written, within a bound."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _about_dropped(count: int, render: Callable[[Any, str, Event], str]) -> str:
    facts: Event = {"level": "warning", "logger": __name__, "event": "log_lines_dropped"}
    return render(None, "", _finish(None, "", {**facts, "count": count}))


def _finish(_logger: Any, _method: str, event: Event) -> Event:
    """Order, time, ids and no secrets."""
    exception = event.pop("exception", None)
    facts = {name: masked(name, value) for name, value in event.items()}
    facts["ts"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        facts["trace_id"] = f"{context.trace_id:032x}"
        facts["span_id"] = f"{context.span_id:016x}"
    if exception is not None:
        facts["exception"] = masked_text(str(exception), TRACEBACK_CHARS_MAX)
    ordered = {name: facts.pop(name) for name in _FIRST if name in facts}
    return {**ordered, **facts}


def _json(_logger: Any, _method: str, event: Event) -> str:
    return json.dumps(event, separators=(",", ":"), default=str)


def _text(_logger: Any, _method: str, event: Event) -> str:
    facts = dict(event)
    head = (facts.pop("ts")[11:23], facts.pop("level", "info")[:4].upper(), facts.pop("event", ""))
    exception = facts.pop("exception", "")
    facts.pop("logger", None)
    pairs = " ".join(f"{name}={_word(value)}" for name, value in facts.items())
    line = f"{head[0]} {head[1]} {_word(head[2])} {pairs}".rstrip()
    return f"{line}\n{exception}" if exception else line


def _word(value: Any) -> str:
    """A value on a terminal: quoted and escaped when it is more than one plain word."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = text.isprintable() and '"' not in text
    return text if plain and (" " not in text) and text else json.dumps(text)
