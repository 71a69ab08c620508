"""A small process that waits for the supervisor to end, and cleans up if it did not do so itself.

    python -m mcctl.dev.guardian PIPE FOLDER CLUSTER_ID
The supervisor holds the other end of the pipe: it closes however the supervisor ends.
"""

import os
import sys
from pathlib import Path

from mcctl.dev.folder import Folder
from mcctl.dev.sweep import sweep


def main() -> None:
    pipe, path, cluster_id = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    os.chdir("/")  # Holds nobody's folder.
    while os.read(pipe, 1):
        pass
    sweep(Folder(path, path.name), cluster_id)


if __name__ == "__main__":
    main()
