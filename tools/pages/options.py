"""docs/configuration.md: every option of a node, from nodeagent/config/model.py."""

from collections.abc import Iterator

from nodeagent.config.kinds import Section
from nodeagent.config.model import Config
from nodeagent.config.options import Option, fields_of, options, quantity
from nodeagent.config.toml import as_toml
from tools.pages.markdown import code, head, note, table


def page() -> str:
    return note("nodeagent/config/model.py") + head("options") + "".join(_sections())


def _sections() -> Iterator[str]:
    for name, info in Config.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield f"\n## [{name}]\n\n{kind.__doc__}\n\n"
            own = fields_of(kind, f"{name}.")
            yield _table([one for one in own if one.entry is None])
            yield from (_entries(one, f"[{one.key}.NAME]") for one in own if one.entry)
        else:
            yield f"\n## [[{name}]]\n"
            yield _entries(options()[name], f"[[{name}]]")


def _entries(option: Option, title: str) -> str:
    assert option.entry
    bound = option.limits or "none by default"
    why = f"\n{option.why} As many {code(title)} as needed ({bound}).\n\n"
    return why + _table(fields_of(option.entry))


def _table(found: list[Option]) -> str:
    if not found:
        return ""
    columns = ("option", "default", "limits", "reload", "reason")
    return table(columns, (_row(option) for option in found))


def _row(option: Option) -> tuple[str, ...]:
    name = code(option.key.rpartition(".")[2])
    return name, _default(option), option.limits, "yes" if option.reload else "", option.why


def _default(option: Option) -> str:
    if option.required:
        return f"required, such as {code(as_toml(option.example))}"
    if option.default is None:
        return "none"
    is_size = "bytes" in option.key and isinstance(option.default, int)
    size = f" ({quantity(option.key, option.default)})" if is_size else ""
    return code(as_toml(option.default)) + size
