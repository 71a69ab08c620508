"""The command blocks of a Markdown page: which a reader would type, and what they promise.

A block of commands is fenced as `sh`. A remark on the line before it may say more:
`<!-- not run: WHY -->` keeps tests away from it, `<!-- exit N -->` promises another code than 0.
"""

import re
from dataclasses import dataclass

_BLOCK = re.compile(
    r"(?:^<!-- (?P<remark>[^\n]*?) -->\n)?^```sh\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    page: str
    line: int  # Where its first command stands.
    commands: str
    exit_code: int = 0
    why_not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str, text: str) -> list[Block]:
    """In the order of the page; a remark that is neither of the two is an error."""
    return [_block(page, text, match) for match in _BLOCK.finditer(text)]


def _block(page: str, text: str, match: "re.Match[str]") -> Block:
    line = text.count("\n", 0, match.start("text")) + 1
    commands, remark = match["text"], match["remark"] or ""
    match remark.split(" ", 1):
        case [""]:
            return Block(page, line, commands)
        case ["exit", code] if code.isdecimal():
            return Block(page, line, commands, exit_code=int(code))
        case ["not", why] if why.startswith("run: ") and why.removeprefix("run: ").strip():
            return Block(page, line, commands, why_not_run=why.removeprefix("run: "))
    raise ValueError(f"{page}:{line}: {remark!r} is no remark on a block")
