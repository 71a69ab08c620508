"""The restrictions of the unit without systemd: runs a command as nobody, with no capability, with
no page writable and executable, and with the unit's filter of system calls.

    python sandbox.py ALLOWED COMMAND…        # ALLOWED: numbers of system calls, with commas
What it does not do is the file system of the unit (read-only, no homes): as nobody there is nothing
to write but what the test opens.
"""

import ctypes
import errno
import os
import resource
import struct
import sys
from collections.abc import Sequence

NOBODY = 65534
CAPABILITIES = 64
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_MDWE = 24, 38, 22, 65
SECCOMP_MODE_FILTER, MDWE_REFUSE_EXEC_GAIN = 2, 1

LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
SYSCALL_OFFSET, ARCH_OFFSET, X86_64 = 0, 4, 0xC000003E

# systemd gives RestrictAddressFamilies and RestrictNamespaces filters of their own.
SOCKET, SOCKET_FAMILIES, ARGUMENT_0_OFFSET = 41, (1, 2, 10, 16), 16  # UNIX, INET, INET6, NETLINK


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def program(allowed: Sequence[int]) -> bytes:
    """Classic BPF: an allowed call goes through, any other gets EPERM, another ABI dies."""
    steps = [
        (LOAD_WORD, 0, 0, ARCH_OFFSET),
        (JUMP_IF_EQUAL, 1, 0, X86_64),
        (RETURN, 0, 0, KILL),
        (LOAD_WORD, 0, 0, SYSCALL_OFFSET),
        (JUMP_IF_EQUAL, 0, 3 + len(SOCKET_FAMILIES), SOCKET),
        (LOAD_WORD, 0, 0, ARGUMENT_0_OFFSET),
    ]
    for index, family in enumerate(SOCKET_FAMILIES):
        steps.append((JUMP_IF_EQUAL, len(SOCKET_FAMILIES) - index, 0, family))
    steps += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
    for number in allowed:
        steps += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    steps.append((RETURN, 0, 0, REFUSE))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def enter(allowed: Sequence[int]) -> None:
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def must(*arguments: object) -> None:
        if prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), f"prctl{arguments}")

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    for capability in range(CAPABILITIES):
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # The kernel has fewer; the rest is EINVAL.
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    must(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    must(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    code = program(allowed)
    filter_ = _Program(len(code) // 8, code)
    must(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0)


if __name__ == "__main__":
    enter([int(number) for number in sys.argv[1].split(",")])
    os.execv(sys.argv[2], sys.argv[2:])
