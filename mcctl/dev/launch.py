"""Becomes another program that dies with its parent. Run as a file, with nothing imported:

python -I -S launch.py PARENT_PID PROGRAM ARGUMENT…
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It has died before the line above.
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606


main()
