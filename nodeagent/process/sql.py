"""SQL of pipelines: one SELECT over the table `chunk`, with the same result every time."""

import re

import polars as pl

from multicloud.errors import McError

TABLE = "chunk"
_SKIPPED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_FILES = re.compile(r"\b((?:read|scan)_\w+)\s*\(", re.IGNORECASE)
_CHANGING = re.compile(
    r"\b(now|current_date|current_time|current_timestamp|localtime|localtimestamp|random|rand|uuid)\b"
    r"(?=\s*\()|\b(current_date|current_time|current_timestamp|localtime|localtimestamp)\b",
    re.IGNORECASE,
)


_UNORDERED = re.compile(r"\b(join|distinct|union|intersect|except|group\s+by)\b", re.IGNORECASE)
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
_INNERMOST = re.compile(r"\([^()]*\)")


class SqlFault(Exception):
    """What is wrong with a query, in one line; `unknown` is the column that is not there, `typed`
    says that it is about the types of columns.
    """

    def __init__(self, rule: str, unknown: str = "", *, typed: bool = False) -> None:
        super().__init__(rule)
        self.unknown = unknown
        self.typed = typed


def guard(query: str) -> None:
    """Refuses what is no reading of the records at hand."""
    bare = _bare(query)
    first = bare.split(None, 1)[0].lower() if bare.split() else ""
    if first not in ("select", "with"):
        raise SqlFault("must be one SELECT (WITH may stand before it)")
    if found := _FILES.search(bare):
        raise SqlFault(f"{found[1]} reads files, and a step sees the records of its chunk only")
    if found := _CHANGING.search(bare):
        raise SqlFault(f"{found[0]} gives another result at every run")


def _bare(query: str) -> str:
    """Without texts, quoted names and remarks."""
    return _SKIPPED.sub(lambda found: '""' if found[0].startswith('"') else "''", query)


def _outermost(bare: str) -> str:
    """Without whatever stands in parentheses."""
    while (less := _INNERMOST.sub("", bare)) != bare:
        bare = less
    return bare


def run(query: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Of a query that was checked: what is wrong now is wrong with these records."""
    try:
        found = _lazy(query, frame.lazy()).collect()
        bare = _bare(query)
        if _UNORDERED.search(bare) and not _ORDERED.search(_outermost(bare)):
            # Their order is that of hash tables: nothing that another machine must share.
            found = found.sort(found.columns, nulls_last=True, maintain_order=True)
        return found
    except (SqlFault, pl.exceptions.PolarsError) as error:
        raise McError("RECORDS_BAD", f"transform.sql: {one_line(error)}") from error


def holds(where: str, frame: pl.DataFrame) -> pl.Series:
    """For which records a condition holds; null is no."""
    try:
        guard(f"SELECT {where}")
        mask = frame.select(pl.sql_expr(where).alias("m")).to_series()
    except (SqlFault, pl.exceptions.PolarsError) as error:
        raise McError("RECORDS_BAD", f"filter: {one_line(error)}") from error
    if not isinstance(mask.dtype, pl.Boolean | pl.Null):
        raise McError("RECORDS_BAD", f"filter: its condition is {mask.dtype}, not true or false")
    if len(mask) != frame.height:  # A literal, or an aggregate.
        mask = mask.new_from_index(0, frame.height)
    return mask.cast(pl.Boolean).fill_null(False)


def columns_of(query: str, frame: pl.DataFrame) -> pl.Schema:
    """The columns of the result over records like those of an empty frame. Raises SqlFault."""
    guard(query)
    try:
        return _lazy(query, frame.lazy()).collect_schema()
    except pl.exceptions.PolarsError as error:
        raise _fault(error) from error


def check_condition(where: str, frame: pl.DataFrame) -> None:
    guard(f"SELECT {where}")
    try:
        kind = frame.lazy().select(pl.sql_expr(where).alias("m")).collect_schema()["m"]
    except pl.exceptions.PolarsError as error:
        raise _fault(error) from error
    if not isinstance(kind, pl.Boolean | pl.Null):
        raise SqlFault(f"is {kind}, and a condition is true or false")


def _lazy(query: str, frame: pl.LazyFrame) -> pl.LazyFrame:
    guard(query)
    with pl.SQLContext({TABLE: frame}, eager=False) as context:
        found = context.execute(query)
    if " SCAN " in found.explain(optimized=False):
        raise SqlFault("reads something that is not the records of its chunk")
    return found


def _fault(error: pl.exceptions.PolarsError) -> SqlFault:
    text = one_line(error)
    if isinstance(error, pl.exceptions.ColumnNotFoundError):
        found = re.search(r'unable to find column "([^"]+)"', text)
        return SqlFault(text, found[1] if found else "?")
    parsing = isinstance(error, pl.exceptions.SQLSyntaxError | pl.exceptions.SQLInterfaceError)
    return SqlFault(text, typed=not parsing)


def one_line(error: BaseException) -> str:
    """Polars adds its plan below."""
    lines = str(error).strip().splitlines()
    return lines[0].removeprefix("sql parser error: ") if lines else type(error).__name__
