"""`mcctl`, also as `python -m mcctl`."""

import sys

from mcctl.cli import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
