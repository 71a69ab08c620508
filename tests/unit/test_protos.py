"""The generated code is current, the API keeps its rules, and a break of it is named."""

from collections.abc import Callable
from copy import deepcopy

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from tools import protos
from tools.breaking import breaks, enums_of, messages_of, services_of

P = "multicloud.v1"
Api = FileDescriptorSet


@pytest.fixture(scope="module")
def api() -> Api:
    return protos.descriptors()


def test_the_generated_code_is_what_the_protos_say() -> None:
    assert protos.drift() == []


def test_the_api_keeps_its_rules(api: Api) -> None:
    assert list(protos.lint(api)) == []


def test_nothing_breaks_against_the_frozen_api(api: Api) -> None:
    assert breaks(protos.frozen(), api) == [], protos.BREAKING


def test_the_frozen_api_is_no_empty_one(api: Api) -> None:
    frozen = protos.frozen()
    assert set(services_of(frozen)) <= set(services_of(api))
    assert len(services_of(frozen)) >= 10
    assert len(messages_of(frozen)) >= 100


def message(api: Api, name: str) -> DescriptorProto:
    return messages_of(api)[f"{P}.{name}"]


def enum(api: Api, name: str) -> EnumDescriptorProto:
    return enums_of(api)[f"{P}.{name}"]


def service(api: Api, name: str) -> ServiceDescriptorProto:
    return services_of(api)[f"{P}.{name}"]


def field(api: Api, message_name: str, name: str) -> FieldDescriptorProto:
    return next(f for f in message(api, message_name).field if f.name == name)


def method(api: Api, service_name: str, name: str) -> MethodDescriptorProto:
    return next(m for m in service(api, service_name).method if m.name == name)


def drop_service(api: Api) -> None:
    file = next(f for f in api.file if f.service and f.service[0].name == "PeerService")
    del file.service[0]


def drop_message(api: Api) -> None:
    file = next(f for f in api.file if f.name.endswith("common.proto"))
    del file.message_type[0]


def drop_enum(api: Api) -> None:
    file = next(f for f in api.file if f.name.endswith("common.proto"))
    del file.enum_type[0]


def drop_value(api: Api) -> None:
    del enum(api, "NodeState").value[1]


def drop_field(api: Api) -> None:
    message(api, "Domain").field.remove(field(api, "Domain", "zone"))


def reserve_half(api: Api) -> None:
    drop_field(api)
    message(api, "Domain").reserved_range.add(start=3, end=4)


def set_number(api: Api) -> None:
    field(api, "Domain", "zone").number = 9


def set_type(api: Api) -> None:
    field(api, "Domain", "zone").type = FieldDescriptorProto.TYPE_BYTES


def set_name(api: Api) -> None:
    field(api, "Domain", "zone").name = "area"


def set_repeated(api: Api) -> None:
    field(api, "Domain", "zone").label = FieldDescriptorProto.LABEL_REPEATED


def set_oneof(api: Api) -> None:
    message(api, "Domain").oneof_decl.add(name="place")
    field(api, "Domain", "zone").oneof_index = 0


def swap_values(api: Api) -> None:
    enum(api, "NodeState").value[1].name = "NODE_STATE_WELL"


def drop_rpc(api: Api) -> None:
    service(api, "AdminService").method.remove(method(api, "AdminService", "GetNode"))


def stream_answers(api: Api) -> None:
    method(api, "AdminService", "GetNode").server_streaming = True


def stream_requests(api: Api) -> None:
    method(api, "AdminService", "GetNode").client_streaming = True


def another_answer(api: Api) -> None:
    method(api, "AdminService", "GetNode").output_type = f".{P}.GetRttResponse"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (drop_service, f"service {P}.PeerService is gone"),
        (drop_message, f"message {P}.Domain is gone"),
        (drop_enum, f"enum {P}.NodeState is gone"),
        (drop_value, "value NODE_STATE_ALIVE = 1 of multicloud.v1.NodeState is gone"),
        (drop_field, f"field {P}.Domain.zone = 3 is gone: write `reserved 3"),
        (reserve_half, f"field {P}.Domain.zone = 3 is gone: write `reserved 3"),
        (set_number, f"field {P}.Domain.zone = 3 is gone"),
        (set_type, f"field {P}.Domain.zone = 3 was string and is bytes"),
        (set_name, f"field {P}.Domain.zone = 3 is called area now"),
        (set_repeated, f"field {P}.Domain.zone = 3 was string and is repeated string"),
        (set_oneof, f"field {P}.Domain.zone = 3 was string and is of place, string"),
        (swap_values, "is called NODE_STATE_WELL now"),
        (drop_rpc, f"RPC {P}.AdminService/GetNode is gone"),
        (stream_answers, "-> stream .multicloud.v1.GetNodeResponse"),
        (stream_requests, "is stream .multicloud.v1.GetNodeRequest"),
        (another_answer, "-> .multicloud.v1.GetRttResponse"),
    ],
)
def test_a_planted_break_is_named(api: Api, change: Callable[[Api], None], named: str) -> None:
    after = deepcopy(api)
    change(after)
    (found,) = breaks(api, after)
    assert named in found


def test_what_is_added_or_reserved_is_no_break(api: Api) -> None:
    after = deepcopy(api)
    drop_field(after)
    message(after, "Domain").reserved_range.add(start=3, end=4)
    message(after, "Domain").reserved_name.append("zone")
    message(after, "Domain").field.add(
        name="rack", number=4, type=FieldDescriptorProto.TYPE_STRING, label=1
    )
    drop_value(after)
    enum(after, "NodeState").reserved_range.add(start=1, end=1)
    service(after, "AdminService").method.add(name="New", input_type=".a", output_type=".b")
    assert breaks(api, after) == []


def planted(change: Callable[[FileDescriptorProto], None]) -> list[str]:
    """The faults of a clean little API after a change to it."""
    file = FileDescriptorProto(name="multicloud/v1/planted.proto", package=P)
    owner = file.service.add(name="PlantedService")
    owner.method.add(name="Do", input_type=f".{P}.DoRequest", output_type=f".{P}.DoResponse")
    for path in ((6, 0), (6, 0, 2, 0)):
        file.source_code_info.location.add(path=path, leading_comments="Said.")
    things = file.message_type.add(name="ListThingsRequest")
    things.field.add(name="page_size", number=1)
    things.field.add(name="page_token", number=2)
    file.enum_type.add(name="SomeKind").value.add(name="SOME_KIND_UNSPECIFIED", number=0)
    change(file)
    return list(protos.lint(FileDescriptorSet(file=[file])))


def test_a_clean_api_has_no_faults() -> None:
    assert planted(lambda file: None) == []


def rename_service(file: FileDescriptorProto) -> None:
    file.service[0].name = "Planted"


def forget_comment_of_service(file: FileDescriptorProto) -> None:
    del file.source_code_info.location[0]


def forget_comment_of_rpc(file: FileDescriptorProto) -> None:
    del file.source_code_info.location[1]


def share_a_request(file: FileDescriptorProto) -> None:
    file.service[0].method[0].input_type = f".{P}.Empty"


def share_an_answer(file: FileDescriptorProto) -> None:
    file.service[0].method[0].output_type = f".{P}.Empty"


def move(file: FileDescriptorProto) -> None:
    file.name = "elsewhere/planted.proto"


def camel(file: FileDescriptorProto) -> None:
    file.message_type[0].field.add(name="someField", number=3)


def half_a_page(file: FileDescriptorProto) -> None:
    del file.message_type[0].field[1]


def no_zero(file: FileDescriptorProto) -> None:
    file.enum_type[0].value[0].number = 1


def foreign_value(file: FileDescriptorProto) -> None:
    file.enum_type[0].value.add(name="OTHER", number=1)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (rename_service, "must end in Service"),
        (forget_comment_of_service, "service PlantedService needs a comment"),
        (forget_comment_of_rpc, "PlantedService.Do needs a comment"),
        (share_a_request, f"must use .{P}.DoRequest"),
        (share_an_answer, f"must use .{P}.DoResponse"),
        (move, "does not match its folder"),
        (camel, "is not lower_snake_case"),
        (half_a_page, "page_size and page_token, or neither"),
        (no_zero, "must begin with SOME_KIND_UNSPECIFIED = 0"),
        (foreign_value, "OTHER must begin with SOME_KIND_"),
    ],
)
def test_a_planted_fault_of_the_api_is_found(
    change: Callable[[FileDescriptorProto], None], fault: str
) -> None:
    (found,) = planted(change)
    assert fault in found
