"""Renders `config/nodeagent.toml` and the JSON Schema from the model.

    python -m nodeagent.config.document > config/nodeagent.toml
In the file a remark begins with `# ` and an option with `#`, so that taking away the `#` of a line
turns an option on; what it shows is then the default, or an example where there is none.
"""

import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from nodeagent.config.kinds import NAME, WORDS, ZONE, Section
from nodeagent.config.model import Config
from nodeagent.config.options import Option, fields_of, options, quantity
from nodeagent.config.toml import as_toml

WIDTH = 100
SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"

# The file says once, at its head, what a name is.
_SHORT = {WORDS[NAME]: "a name", WORDS[ZONE]: "a name or empty"}

HEAD = """\
# The configuration of a node: every option, its default, its limits and the reason for it.
#
# A node needs those marked 'required', and `nodeagentd install` writes them. Take away the '#'
# before an option to set it. What wins: --set section.key=value, then the variable
# MC_SECTION__KEY, then this file, then the default. Paths are absolute. An unknown key is an error.
# A name has 1 to 63 lower-case letters, digits, '.', '_', '-', and does not begin with a mark.
#
# `nodeagentd check-config` says what is wrong, `mcctl config explain` where each value came from.
# Options marked 'reload' apply on `systemctl reload nodeagentd` or `mcctl config reload NODE`;
# the others wait for a restart.
"""


def document() -> str:
    return HEAD + "".join(_section(name, info) for name, info in Config.model_fields.items())


def schema() -> dict[str, Any]:
    """For editors: complete as you type, and refuse what the daemon would."""
    made = Config.model_json_schema()
    return {"$schema": SCHEMA_ID, **made, "title": "A node of multicloud"}


def _section(name: str, info: FieldInfo) -> str:
    kind = info.annotation
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        return "\n" + "".join(_entries(options()[name], f"[[{name}]]"))
    text = f"\n# {kind.__doc__}\n[{name}]\n"
    for option in fields_of(kind):
        key = f"{name}.{option.key}"
        if option.entry:
            head = f"[[{key}]]" if isinstance(option.default, list) else f"[{key}.NAME]"
            text += "".join(_entries(options()[key], head))
        else:
            text += "".join(_option(options()[key]))
    return text


def _option(option: Option) -> Iterator[str]:
    yield from _wrapped(_remark(option))
    value = option.example if option.required else option.default
    name = option.key.rpartition(".")[2]
    yield f"#{name} = {as_toml(value)}{_unit(option, value)}\n"


def _remark(option: Option) -> str:
    marks = [
        "required" if option.required else "",
        _SHORT.get(option.limits, option.limits) if option.kind is not bool else "",
        "reload" if option.reload else "",
    ]
    facts = "; ".join(mark for mark in marks if mark)
    return f"{option.why} [{facts}]" if facts else option.why


def _unit(option: Option, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    return f"  # {quantity(option.key, value)}" if "bytes" in option.key else ""


def _entries(option: Option, head: str) -> Iterator[str]:
    """A list or a dict of tables has no default to show: an example, further to the right."""
    assert option.entry
    yield from _wrapped(f"{_remark(option)} None by default; one looks like this:")
    yield f"#     {head}\n"
    for entry in fields_of(option.entry):
        example = entry.default if entry.example is None else entry.example
        line = f"#     {entry.key} = {as_toml(example)}"
        if len(line) + len(entry.why) + 4 <= WIDTH:
            yield f"{line}  # {entry.why}\n"
        else:
            yield from (f"#     {why}" for why in _wrapped(entry.why))
            yield f"{line}\n"


def _wrapped(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, WIDTH - 2, break_on_hyphens=False, break_long_words=False):
        yield f"# {line}\n"


if __name__ == "__main__":
    sys.stdout.write(document())
