"""`mcctl`, also as `python -m mcctl`."""

import os
import sys

# gRPC writes failed handshakes to stderr in its own words; ours say more. Before it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from mcctl.cli import run


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
