"""The line of every key, against documents whose every value says the line of its own key."""

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.config.lines import Key, lines


def leaves(tree: Any, path: Key = ()) -> "list[tuple[Key, Any]]":
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in leaves(value, (*path, key))]
    if isinstance(tree, list):
        return [leaf for i, value in enumerate(tree) for leaf in leaves(value, (*path, i))]
    return [(path, tree)]


def assert_every_leaf_is_on_its_line(text: str) -> None:
    found = lines(text)
    for path, value in leaves(tomllib.loads(text)):
        digits = re.match(r"\d+", str(value))
        assert digits, value
        wanted = int(digits.group())
        assert found[path] == wanted, (path, text)


@pytest.mark.parametrize(
    "text",
    [
        "a = 1",
        "\n# remark = 9\n\na = 4 # b = 9\nb = 5",
        "a = '1 # no remark'\nb = 2",
        'a = "1 \\" # \\\\"\nb = 2',
        'a = """1\n[no.table]\n"" x = 7\n\\"""" # x\nb = 5',
        'a = """1"""""\nb = 2',
        "a = '''1\n''b = '\n'''\nb = 4",
        "a = '''1'''''\nb = 2",
        "[x]\na = 2\n[x.y]\nb = 4",
        "[ x . 'y z' ]\na = 2\n\"b\\u0041\" = 3",
        "a.b.c = 1\na.'b'.d = 2\n[z]\na.b = 4",
        "[[t]]\na = 2\n[[t]]\na = 4\n[t.u]\nb = 6\n[[t.v]]\nc = 8\n[[t.v]]\nc = 10\n[[t]]\na = 12",
        "a = [\n  2, # ]\n  3,\n\n  [5,\n   6],\n]\nb = 8",
        "a = { b = 1, c = { d = 1 }, e = [\n  2,\n  { f = 3 }\n] }\ng = 5",
        "a = 1\r\nb = 2\r\n[c]\r\nd = 4",
        "\t a\t=\t 1 \n",
        "a = 0x1\nb = 2.0e0\nc = +3",
        "'' = 1",
        "[a]\n[a.b]\nc = 3\n[d]",
    ],
)
def test_keys_of_every_style_are_found(text: str) -> None:
    assert_every_leaf_is_on_its_line(text)


def test_tables_and_lists_themselves_have_a_line() -> None:
    found = lines("[a.b]\nc = [\n1]\n\n[[d]]\n[[d]]\n")
    assert found[("a",)] == found[("a", "b")] == 1
    assert found[("a", "b", "c")] == 2
    assert found[("d",)] == found[("d", 0)] == 5
    assert found[("d", 1)] == 6


@dataclass
class Document:
    """Text under construction; a value is written as the number of the line that it stands on."""

    draw: Any
    text: str = ""
    names: int = 0
    headers: list[str] = field(default_factory=list)

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def pick(self, *choices: str) -> str:
        return str(self.draw(st.sampled_from(choices)))

    def name(self) -> str:
        self.names += 1
        return self.pick("k{}", "'k {}'", '"k.{}"', '"k\\"{}"', "'[k]#={}'").format(self.names)

    def key(self) -> str:
        return self.pick(".", " . ").join(self.name() for _ in range(self.draw(st.integers(1, 3))))

    def gap(self) -> str:
        """Between the items of a list, where lines may break."""
        return self.pick("", " ", "\n", " # ], x = 9\n", "\n\n\t")

    def scalar(self) -> str:
        styles = ("{}", "{}.0", "'{} #['", '"{} \\" ] = \\\\"', "'''{}\n[x]\n'''")
        more = ('"""{}\n\\"""\nk = 1 # \n"""', '"""{} ""x"" """', "'''{} '''''", '"{}"')
        return self.pick(*styles, *more).format(self.line)

    def value(self, depth: int) -> None:
        kind = (
            self.draw(st.sampled_from(["scalar", "scalar", "list", "table"])) if depth else "scalar"
        )
        if kind == "scalar":
            self.text += self.scalar()
        elif kind == "list":
            self.text += "["
            for _ in range(self.draw(st.integers(0, 3))):
                self.text += self.gap()
                self.value(depth - 1)
                self.text += self.gap() + ","
            self.text += self.gap() + "]"
        else:
            self.text += "{ "
            for index in range(self.draw(st.integers(0, 3))):
                self.text += ", " if index else ""
                self.pair(depth - 1)
            self.text += " }"

    def pair(self, depth: int) -> None:
        self.text += f"{self.key()}{self.pick('=', ' = ')}"
        # A scalar tells its own line, which is that of its key: TOML breaks no line between them.
        self.value(depth)

    def header(self) -> None:
        style = self.draw(st.sampled_from(["new", "again", "array", "below"]))
        arrays = [h for h in self.headers if h.startswith("[[")]
        if style == "again" and arrays:
            head = self.draw(st.sampled_from(arrays))
        elif style == "below" and self.headers:
            head = f"[{self.draw(st.sampled_from(self.headers)).strip('[]')}.{self.bare()}]"
        elif style == "array":
            head = f"[[{self.bare()}]]"
        else:
            head = f"[{self.bare()}]"
        self.headers.append(head)
        self.text += head + self.pick("\n", " # [x]\n")

    def bare(self) -> str:
        self.names += 1
        return f"t{self.names}"


@st.composite
def documents(draw: Any) -> str:
    made = Document(draw)
    for _ in range(draw(st.integers(1, 6))):
        for _ in range(draw(st.integers(0, 3))):
            made.text += made.pick("", "\n", "# a = 9\n", "  ")
            made.pair(2)
            made.text += made.pick("\n", " # x\n", "\n\n")
        made.header()
    return made.text


@given(documents())
def test_whatever_tomllib_reads_has_its_lines(text: str) -> None:
    assert_every_leaf_is_on_its_line(text)


PIECES = ("a", "b = 1", "c =", ".", "[", "]", "[[d]]", "[e]", "{", "}", ",", "\n", "#", " ", "1")
QUOTES = ('"', '""', '"""', "'", "''", "'''", '\\"', "\r\n")
TOKENS = st.sampled_from((*PIECES, *QUOTES))


@given(st.lists(TOKENS, max_size=16).map("".join))
def test_whatever_tomllib_accepts_is_read_without_a_defect(text: str) -> None:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = lines(text)
    assert {path for path, _ in leaves(tree)} <= set(found)
