"""What kind of file something is, by its name and its first bytes, and how it is compressed."""

from dataclasses import dataclass, replace

from nodeagent.core.pipeline.model import Csv

HEAD_BYTES = 512  # As many first bytes tell every kind apart.

_BY_ENDING = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv",
    ".parquet": "parquet", ".pq": "parquet", ".tar": "tar",
}  # fmt: skip
_WRAPPED = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_SHORT = {".tgz": ("tar", "gzip")}
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True, slots=True)
class FileKind:
    format: str  # raw, jsonl, csv, parquet, tar; "" when a name does not tell.
    compression: str = "none"  # none, gzip, zstd

    @property
    def is_stream(self) -> bool:
        """It can only be read from its start to its end."""
        return self.compression != "none"


def by_name(path: str) -> FileKind:
    name = path.rpartition("/")[2].lower()
    for ending, (form, compression) in _SHORT.items():
        if name.endswith(ending):
            return FileKind(form, compression)
    wrapped = next((end for end in _WRAPPED if name.endswith(end)), "")
    inner = name.removesuffix(wrapped) if wrapped else name
    form = next((form for end, form in _BY_ENDING.items() if inner.endswith(end)), "")
    return FileKind(form, _WRAPPED.get(wrapped, "none"))


def csv_of(path: str, rule: Csv) -> Csv:
    """The fields of a .tsv are told apart by tabs, unless the pipeline says otherwise."""
    name = path.lower()
    for end in _WRAPPED:
        name = name.removesuffix(end)
    tabs = name.endswith(".tsv") and rule.delimiter == Csv().delimiter
    return replace(rule, delimiter="\t") if tabs else rule


def stem(path: str) -> str:
    """The path without the endings that tell its kind: dir/a.jsonl.gz is dir/a."""
    folder, slash, name = path.rpartition("/")
    lower = name.lower()
    for endings in (_SHORT, _WRAPPED, _BY_ENDING):
        found = next((end for end in endings if lower.endswith(end) and lower != end), "")
        name, lower = name[: len(name) - len(found)], lower[: len(lower) - len(found)]
    return f"{folder}{slash}{name}"


def compression_of(head: bytes) -> str:
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "none")


def by_content(head: bytes) -> str:
    """The format of plain bytes, from the first of them; what looks like nothing known is raw."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head[257:262] == b"ustar":
        return "tar"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b'{"'):
        return "jsonl"
    return "raw"


def resolve(path: str, declared: str, head: bytes) -> FileKind:
    """Of an object whose first bytes are `head`. `declared` is the pipeline's input.

    The compression is what the bytes say: a name can be wrong, and raw is never unpacked. A
    compressed file whose name does not tell what is inside has an empty format.
    """
    if declared == "raw":
        return FileKind("raw")
    named = by_name(path)
    compression = compression_of(head)
    if declared != "auto":
        return FileKind(declared, compression)
    if named.format or compression != "none":
        return FileKind(named.format, compression)
    return FileKind(by_content(head))
