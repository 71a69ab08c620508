"""Blocks of commands are found in pages with what is said about them."""

import pytest

from tools.blocks import Block, blocks_of

PAGE = """\
# Page

```sh
mcctl nodes
mcctl status
```

<!-- exit 1 -->
```sh
mcctl check
```

<!-- not run: needs a VM -->
```sh
sudo nodeagentd install a.bundle
```

```text
no command
```
"""


def test_blocks_are_found_with_line_and_promise() -> None:
    assert blocks_of("a.md", PAGE) == [
        Block("a.md", 4, "mcctl nodes\nmcctl status\n"),
        Block("a.md", 10, "mcctl check\n", exit_code=1),
        Block("a.md", 15, "sudo nodeagentd install a.bundle\n", why_not_run="needs a VM"),
    ]


@pytest.mark.parametrize("remark", ["not run: ", "not run", "exit one", "skip", "not tested: x"])
def test_a_remark_without_a_meaning_is_refused(remark: str) -> None:
    with pytest.raises(ValueError, match=r"a\.md:3"):
        blocks_of("a.md", f"<!-- {remark} -->\n```sh\nmcctl\n```\n")
