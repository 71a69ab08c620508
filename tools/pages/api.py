"""docs/api.md: services, RPCs, who may call them, and messages, from the comments of the protos."""

from collections.abc import Iterator, Mapping

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from nodeagent.rpc.access import ACCESS, ROLES
from nodeagent.rpc.services import snake
from tools.pages.markdown import code, head, note, table
from tools.pages.served import served

Comments = Mapping[tuple[int, ...], str]
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6  # Field numbers of FileDescriptorProto, as paths have them.


def page(api: FileDescriptorSet) -> str:
    files = sorted(api.file, key=lambda file: (not file.service, file.name))
    return note("protos/") + head("api") + "".join(part for file in files for part in _file(file))


def _file(file: FileDescriptorProto) -> Iterator[str]:
    said = _comments(file)
    name = file.name.rpartition("/")[2]
    yield f"\n## {name}\n{_said(said, ())}"
    for s, service in enumerate(file.service):
        yield f"\n### {service.name}\n{_said(said, (_SERVICES, s))}\n"
        rows = (
            _rpc(f"{file.package}.{service.name}", method, said.get((_SERVICES, s, 2, m), ""))
            for m, method in enumerate(service.method)
        )
        yield table(("RPC", "takes → gives", "what it does", "who", ""), rows)
    for index, message in enumerate(file.message_type):
        yield from _message(message.name, message, (_MESSAGES, index), said)
    for index, enum in enumerate(file.enum_type):
        yield from _enum(enum, (_ENUMS, index), said)


def _comments(file: FileDescriptorProto) -> Comments:
    """Path to comment; the one above `syntax` is the file's, at the empty path."""
    found = {}
    for place in file.source_code_info.location:
        text = place.leading_comments or place.trailing_comments
        if text:
            path = tuple(place.path)
            found[() if path == (12,) else path] = text.strip()
    return found


def _said(said: Comments, path: tuple[int, ...]) -> str:
    lines = said.get(path, "").splitlines()
    return "\n" + "".join(f"{line.strip()}\n" for line in lines) if lines else ""


def _rpc(service: str, method: MethodDescriptorProto, said: str) -> tuple[str, ...]:
    rule = ACCESS[f"/{service}/{method.name}"]
    who = [role for role in ROLES if role in rule.roles]
    here = snake(method.name) in served()
    marks = (("not yet", not here), ("audited", rule.mutating), ("passed on", rule.passed_on))
    takes = "stream " * method.client_streaming + _link(method.input_type)
    gives = "stream " * method.server_streaming + _link(method.output_type)
    return (
        code(method.name),
        f"{takes} → {gives}",
        said,
        ", ".join(who),
        ", ".join(text for text, holds in marks if holds),
    )


def _link(type_name: str) -> str:
    package, _, name = type_name.lstrip(".").rpartition(".")
    return f"[{name}](#{name.lower()})" if package == "multicloud.v1" else name


def _message(
    name: str, message: DescriptorProto, path: tuple[int, ...], said: Comments
) -> Iterator[str]:
    yield f"\n#### {name}\n{_said(said, path)}\n"
    maps = {inner.name: inner for inner in message.nested_type if inner.options.map_entry}
    rows = [
        (str(f.number), code(f.name), _kind(f, message, maps), said.get((*path, 2, index), ""))
        for index, f in enumerate(message.field)
    ]
    yield table(("", "field", "type", "meaning"), rows) if rows else "No fields.\n"
    for index, inner in enumerate(message.nested_type):
        if inner.name not in maps:
            yield from _message(f"{name}.{inner.name}", inner, (*path, 3, index), said)


def _kind(
    field: FieldDescriptorProto, message: DescriptorProto, maps: Mapping[str, DescriptorProto]
) -> str:
    entry = maps.get(field.type_name.rpartition(".")[2])
    if entry:
        key, value = entry.field
        return f"map of {_scalar(key)} to {_scalar(value)}"
    repeated = "repeated " if field.label == FieldDescriptorProto.LABEL_REPEATED else ""
    in_oneof = field.HasField("oneof_index") and not field.proto3_optional
    oneof = f", one of {code(message.oneof_decl[field.oneof_index].name)}" if in_oneof else ""
    return repeated + _scalar(field) + oneof


def _scalar(field: FieldDescriptorProto) -> str:
    if field.type_name:
        return _link(field.type_name)
    return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()


def _enum(enum: EnumDescriptorProto, path: tuple[int, ...], said: Comments) -> Iterator[str]:
    yield f"\n#### {enum.name}\n{_said(said, path)}\n"
    rows = [
        (str(value.number), code(value.name), said.get((*path, 2, index), ""))
        for index, value in enumerate(enum.value)
    ]
    yield table(("", "value", "meaning"), rows)
