"""docs/errors.md: the table of what can go wrong, from multicloud/errors.py."""

from multicloud.errors import REASONS, Retry
from tools.pages.markdown import code, head, note, table

RETRY = {
    Retry.NEVER: "no",
    Retry.HERE: "yes, after the delay given",
    Retry.ELSEWHERE: "yes, at another node",
}


def page() -> str:
    rows = [
        (code(name), code(row.code), str(row.exit), RETRY[row.retry], row.next)
        for name, row in REASONS.items()
    ]
    columns = ("reason", "gRPC code", "exit", "again?", "what to do next")
    return note("multicloud/errors.py") + head("errors") + table(columns, rows)
