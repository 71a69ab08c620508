"""Names what a change of the API breaks for those who were built against the frozen one.

Pure: two descriptor sets in, sentences out. What goes away must be `reserved`, number and name, so
that nobody gives it another meaning later; a field that goes away that way is no break on the wire.
"""

from collections.abc import Iterator, Mapping
from itertools import chain

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

Field = FieldDescriptorProto


def breaks(before: FileDescriptorSet, after: FileDescriptorSet) -> list[str]:
    """Every break, in the order of the API."""
    return list(
        chain(
            _services(services_of(before), services_of(after)),
            _messages(messages_of(before), messages_of(after)),
            _enums(enums_of(before), enums_of(after)),
        )
    )


def services_of(api: FileDescriptorSet) -> dict[str, ServiceDescriptorProto]:
    return {f"{file.package}.{s.name}": s for file in api.file for s in file.service}


def messages_of(api: FileDescriptorSet) -> dict[str, DescriptorProto]:
    return {name: found for name, found in _types(api) if isinstance(found, DescriptorProto)}


def enums_of(api: FileDescriptorSet) -> dict[str, EnumDescriptorProto]:
    return {name: found for name, found in _types(api) if isinstance(found, EnumDescriptorProto)}


def _types(api: FileDescriptorSet) -> Iterator[tuple[str, DescriptorProto | EnumDescriptorProto]]:
    for file in api.file:
        yield from ((f"{file.package}.{enum.name}", enum) for enum in file.enum_type)
        for message in file.message_type:
            yield from _nested(f"{file.package}.{message.name}", message)


def _nested(
    name: str, message: DescriptorProto
) -> Iterator[tuple[str, DescriptorProto | EnumDescriptorProto]]:
    yield name, message
    yield from ((f"{name}.{enum.name}", enum) for enum in message.enum_type)
    for inner in message.nested_type:
        yield from _nested(f"{name}.{inner.name}", inner)


def _services(
    before: Mapping[str, ServiceDescriptorProto], after: Mapping[str, ServiceDescriptorProto]
) -> Iterator[str]:
    for name, old in before.items():
        if name not in after:
            yield f"service {name} is gone"
            continue
        now = {method.name: method for method in after[name].method}
        for method in old.method:
            path = f"{name}/{method.name}"
            if method.name not in now:
                yield f"RPC {path} is gone"
            elif _shape(method) != _shape(now[method.name]):
                yield f"RPC {path} was {_shape(method)} and is {_shape(now[method.name])}"


def _shape(method: MethodDescriptorProto) -> str:
    takes = "stream " * method.client_streaming + method.input_type
    gives = "stream " * method.server_streaming + method.output_type
    return f"{takes} -> {gives}"


def _messages(
    before: Mapping[str, DescriptorProto], after: Mapping[str, DescriptorProto]
) -> Iterator[str]:
    for name, old in before.items():
        if name not in after:
            yield f"message {name} is gone"
            continue
        now = after[name]
        by_number = {field.number: field for field in now.field}
        for field in old.field:
            path = f"field {name}.{field.name} = {field.number}"
            new = by_number.get(field.number)
            if new is None:
                yield from _gone(path, field.number, field.name, now)
            elif new.name != field.name:
                yield f"{path} is called {new.name} now: JSON and sources break"
            elif _kind(field, old) != _kind(new, now):
                yield f"{path} was {_kind(field, old)} and is {_kind(new, now)}"


def _gone(path: str, number: int, name: str, now: DescriptorProto) -> Iterator[str]:
    numbers = any(part.start <= number < part.end for part in now.reserved_range)
    if not numbers or name not in now.reserved_name:
        yield f'{path} is gone: write `reserved {number}; reserved "{name}";`'


def _kind(field: Field, message: DescriptorProto) -> str:
    label = "repeated " if field.label == Field.LABEL_REPEATED else ""
    optional = "optional " if field.proto3_optional else ""
    named = field.HasField("oneof_index") and not field.proto3_optional
    oneof = f"of {message.oneof_decl[field.oneof_index].name}, " if named else ""
    kind = field.type_name or Field.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"{oneof}{label}{optional}{kind}"


def _enums(
    before: Mapping[str, EnumDescriptorProto], after: Mapping[str, EnumDescriptorProto]
) -> Iterator[str]:
    for name, old in before.items():
        if name not in after:
            yield f"enum {name} is gone"
            continue
        now = {value.number: value.name for value in after[name].value}
        for value in old.value:
            path = f"value {value.name} = {value.number} of {name}"
            if value.number not in now:
                kept = after[name].reserved_range  # Unlike a field's, its end is inclusive.
                if not any(part.start <= value.number <= part.end for part in kept):
                    yield f"{path} is gone: write `reserved {value.number};`"
            elif now[value.number] != value.name:
                yield f"{path} is called {now[value.number]} now"
