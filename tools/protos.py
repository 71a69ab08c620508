"""Generates multicloud/v1 from protos/, says whether it has drifted, and lints the API.

    python -m tools.protos generate | check | freeze
`check` regenerates into a temporary folder and compares, lints, and names what breaks against
`protos/baseline.binpb`; `freeze` writes that file, which is the API as it was promised.
"""

import filecmp
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

from tools.breaking import breaks

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GENERATED = ROOT / "multicloud" / "v1"
BASELINE = PROTOS / "baseline.binpb"

# Until jobs run on it the API may break, and says so.
BREAKING = (
    "the API broke against protos/baseline.binpb. Better: keep what was there, reserve what goes."
    " Where it must break: say it in CHANGELOG.md, then `python -m tools.protos freeze`"
)


def sources() -> list[str]:
    return sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))


def protoc(*options: str) -> None:
    include = str(files("grpc_tools") / "_proto")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{include}"]
    subprocess.run([*command, *options, *sources()], check=True, cwd=PROTOS)


def generate(into: Path) -> None:
    bin_dir = Path(sys.executable).parent
    protoc(
        f"--plugin=protoc-gen-mypy={bin_dir / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={bin_dir / 'protoc-gen-mypy_grpc'}",
        f"--python_out={into}",
        f"--grpc_python_out={into}",
        f"--mypy_out=quiet:{into}",
        f"--mypy_grpc_out=quiet:{into}",
    )


def descriptors() -> FileDescriptorSet:
    with tempfile.NamedTemporaryFile(suffix=".binpb") as out:
        protoc("--include_source_info", f"--descriptor_set_out={out.name}")
        return FileDescriptorSet.FromString(Path(out.name).read_bytes())


def write_generated() -> None:
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        shutil.rmtree(GENERATED, ignore_errors=True)
        shutil.copytree(Path(folder) / "multicloud" / "v1", GENERATED)
    (GENERATED / "__init__.py").write_text('"""Generated from protos/ by `make protos`."""\n')


def drift() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = Path(folder) / "multicloud" / "v1"
        names = {p.name for p in fresh.iterdir()}
        have = {p.name for p in GENERATED.glob("*_pb2*")}
        _, differ, errors = filecmp.cmpfiles(fresh, GENERATED, sorted(names & have), shallow=False)
        return [
            f"multicloud/v1/{n}: differs from protos/; run `make protos`"
            for n in sorted({*differ, *errors, *(names ^ have)})
        ]


def lint(api: FileDescriptorSet) -> Iterator[str]:
    """The rules of the API: names, request and response of one's own, comments, enum zeros."""
    for file in api.file:
        comments = {
            tuple(loc.path) for loc in file.source_code_info.location if loc.leading_comments
        }
        where = file.name
        if file.package.replace(".", "/") != str(Path(file.name).parent):
            yield f"{where}: package {file.package} does not match its folder"
        for s, service in enumerate(file.service):
            if not service.name.endswith("Service"):
                yield f"{where}: service {service.name} must end in Service"
            if (6, s) not in comments:
                yield f"{where}: service {service.name} needs a comment"
            for m, method in enumerate(service.method):
                if (6, s, 2, m) not in comments:
                    yield f"{where}: {service.name}.{method.name} needs a comment"
                for kind, got in (("Request", method.input_type), ("Response", method.output_type)):
                    want = f".{file.package}.{method.name}{kind}"
                    if got != want:
                        yield f"{where}: {service.name}.{method.name} must use {want}, not {got}"
        for enum in file.enum_type:
            prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
            if enum.value[0].name != prefix + "UNSPECIFIED" or enum.value[0].number != 0:
                yield f"{where}: enum {enum.name} must begin with {prefix}UNSPECIFIED = 0"
            for value in enum.value:
                if not value.name.startswith(prefix):
                    yield f"{where}: {value.name} must begin with {prefix}"
        for message in file.message_type:
            yield from lint_message(where, message)


def lint_message(where: str, message: DescriptorProto) -> Iterator[str]:
    for field in message.field:
        if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field.name):
            yield f"{where}: {message.name}.{field.name} is not lower_snake_case"
    if message.name.startswith("List") and message.name.endswith("Request"):
        fields = {field.name for field in message.field}
        if ("page_size" in fields) != ("page_token" in fields):
            yield f"{where}: {message.name} must have page_size and page_token, or neither"


def frozen() -> FileDescriptorSet:
    return FileDescriptorSet.FromString(BASELINE.read_bytes())


def main(argv: list[str]) -> int:
    match argv:
        case ["generate"]:
            write_generated()
            return 0
        case ["freeze"]:
            api = descriptors()
            for file in api.file:
                file.ClearField("source_code_info")
            BASELINE.write_bytes(api.SerializeToString(deterministic=True))
            return 0
        case ["check"]:
            api = descriptors()
            broken = breaks(frozen(), api)
            faults = [*drift(), *lint(api), *broken, *([BREAKING] if broken else [])]
            print("\n".join(faults) or "protos: generated code is current, the API is clean")
            return 1 if faults else 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
