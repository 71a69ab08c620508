"""The type words of pipeline files as types of Polars and Arrow, and back."""

from dataclasses import dataclass

import polars as pl
import pyarrow as pa

ANY = "any"
_WORDS: dict[str, tuple[pl.DataType, pa.DataType]] = {
    "bool": (pl.Boolean(), pa.bool_()),
    "int8": (pl.Int8(), pa.int8()),
    "int16": (pl.Int16(), pa.int16()),
    "int32": (pl.Int32(), pa.int32()),
    "int64": (pl.Int64(), pa.int64()),
    "uint8": (pl.UInt8(), pa.uint8()),
    "uint16": (pl.UInt16(), pa.uint16()),
    "uint32": (pl.UInt32(), pa.uint32()),
    "uint64": (pl.UInt64(), pa.uint64()),
    "float32": (pl.Float32(), pa.float32()),
    "float64": (pl.Float64(), pa.float64()),
    "string": (pl.String(), pa.string()),
    # JSON has no words for these: they come as text.
    "binary": (pl.Binary(), pa.string()),
    "date": (pl.Date(), pa.string()),
    "datetime": (pl.Datetime("us"), pa.string()),
    ANY: (pl.Null(), pa.null()),  # Whatever it is: it must be there, and nobody converts it.
}
_NAMES = {type(polars): word for word, (polars, _) in _WORDS.items() if word != ANY}


@dataclass(frozen=True, slots=True)
class FieldType:
    word: str
    polars: pl.DataType
    json: pa.DataType  # How it is read from JSON.
    optional: bool

    @property
    def any(self) -> bool:
        return self.word == ANY


def field_type(text: str) -> FieldType:
    """Of a checked word: int64, list<string>, date?"""
    word = text.removesuffix("?")
    inner = word.removeprefix("list<").removesuffix(">")
    polars, json = _WORDS[inner]
    if inner != word:
        polars, json = pl.List(polars), pa.list_(json)
    return FieldType(word, polars, json, text.endswith("?"))


def word_of(dtype: pl.DataType) -> str:
    """For messages."""
    if isinstance(dtype, pl.List):
        return f"list<{word_of(dtype.inner)}>"  # type: ignore[arg-type]
    if isinstance(dtype, pl.Null):
        return "null"
    return _NAMES.get(type(dtype), str(dtype).lower())
