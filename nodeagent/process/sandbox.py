"""What a function of the operator's may not do, as far as Linux lets anyone say so without rights.

seccomp: no sockets, no new processes, no signals to others, nothing written to files. Landlock:
no file read but what Python and libraries are made of. `shut_in` tells which of them hold.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _MASKED, _RETURN = 0x20, 0x15, 0x45, 0x06  # ld abs, jeq, jset, ret
_NUMBER_AT, _ARCH_AT, _ARGUMENT_AT = 0, 4, 16
_EPERM, _ENOSYS = 1, 38
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CLONE_THREAD = 0x00010000

# Audit word, then numbers of calls: those that are refused, and those whose arguments decide.
_X86_64 = (
    0xC000003E,
    (41, 42, 43, 49, 50, 53, 288,  # socket connect accept bind listen socketpair accept4
     57, 58, 59, 322,  # fork vfork execve execveat
     62, 200, 129, 297, 424, 434, 438,  # kill tkill, signals by queue and pidfd
     101, 310, 311, 425, 426, 427,  # ptrace, memory of others, io_uring
     109, 112, 141, 203, 251,  # setpgid setsid setpriority sched_setaffinity ioprio_set
     76, 82, 83, 84, 85, 86, 87, 88, 90, 91, 92, 94, 260, 263, 264, 265, 266, 268, 316, 133, 259,
     165, 166, 155, 161, 272, 308, 298, 321, 248, 249, 250,  # mounts, namespaces, bpf, keys
     132, 235, 261, 280, 188, 189, 190, 197, 198, 199, 302),
    {"open": 2, "openat": 257, "clone": 56, "clone3": 435, "openat2": 437},
)  # fmt: skip
_AARCH64 = (
    0xC00000B7,
    (198, 203, 202, 200, 201, 199, 242, 221, 281, 129, 130, 138, 240, 424, 434, 438,
     117, 270, 271, 425, 426, 427, 154, 157, 140, 122, 30, 45, 38, 34, 35, 37, 36, 52, 53, 54, 55,
     276, 33, 40, 39, 41, 51, 97, 268, 241, 280, 217, 218, 219, 88, 5, 6, 7, 14, 15, 16, 261),
    {"openat": 56, "clone": 220, "clone3": 435, "openat2": 437},
)  # fmt: skip
_BY_MACHINE = {"x86_64": _X86_64, "aarch64": _AARCH64}

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_EXECUTE, _READ_FILE, _READ_DIR = 1, 4, 8
_FILE_RIGHTS_V1 = (1 << 13) - 1
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/nix/store", "/etc/ld.so.cache", "/etc/localtime",
    "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/proc/cpuinfo", "/proc/meminfo",
    "/proc/self", "/sys/devices/system/cpu",
)  # fmt: skip


def shut_in(readable: Iterable[str]) -> list[str]:
    """Which walls stand: of "files" and "calls". From here on there is no way back."""
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return []
    walls = []
    if _restrict_files(libc, [*_SYSTEM, *readable]):
        walls.append("files")
    if _restrict_calls(libc):
        walls.append("calls")
    return walls


def _restrict_files(libc: ctypes.CDLL, readable: Sequence[str]) -> bool:
    handled = struct.pack("=Q", _FILE_RIGHTS_V1)
    rules = libc.syscall(_LANDLOCK_CREATE, handled, ctypes.c_size_t(len(handled)), 0)
    if rules < 0:
        return False  # An older kernel, or one that was built without it.
    try:
        for path in readable:
            _let_read(libc, rules, path)
        return bool(libc.syscall(_LANDLOCK_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _let_read(libc: ctypes.CDLL, rules: int, path: str) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # What is not there needs no rule.
    try:
        rights = _READ_FILE | _EXECUTE | (_READ_DIR if os.path.isdir(path) else 0)
        rule = struct.pack("=Qi", rights, place)
        libc.syscall(_LANDLOCK_ADD, rules, 1, rule, 0)
    finally:
        os.close(place)


def _restrict_calls(libc: ctypes.CDLL) -> bool:
    known = _BY_MACHINE.get(platform.machine())
    if known is None:
        return False
    program = _program(*known)

    class Filter(ctypes.Structure):
        _fields_ = (("count", ctypes.c_ushort), ("program", ctypes.c_char_p))

    asked = Filter(len(program) // 8, program)
    return bool(libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(asked), 0, 0) == 0)


def _program(arch: int, refused: Sequence[int], judged: dict[str, int]) -> bytes:
    """Instructions of classic BPF; each jump is to the next but one, so none can be miscounted."""
    steps = [_step(_LOAD, _ARCH_AT), _step(_EQUAL, arch, 1, 0), _step(_RETURN, _KILL)]
    steps.append(_step(_LOAD, _NUMBER_AT))
    for number in refused:
        steps += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ERRNO | _EPERM)]
    for name in ("clone3", "openat2"):  # Their arguments are behind pointers: libc has others.
        steps += [_step(_EQUAL, judged[name], 0, 1), _step(_RETURN, _ERRNO | _ENOSYS)]
    for name, argument in (("open", 1), ("openat", 2)):
        if name in judged:
            steps += _unless_bits(judged[name], argument, _WRITING, refuse_when_set=True)
    steps += _unless_bits(judged["clone"], 0, _CLONE_THREAD, refuse_when_set=False)
    steps.append(_step(_RETURN, _ALLOW))
    return b"".join(steps)


def _unless_bits(number: int, argument: int, bits: int, *, refuse_when_set: bool) -> list[bytes]:
    """One call, judged by bits of an argument; other calls skip all of it."""
    yes, no = (0, 1) if refuse_when_set else (1, 0)
    return [
        _step(_EQUAL, number, 0, 4),
        _step(_LOAD, _ARGUMENT_AT + 8 * argument),
        _step(_MASKED, bits, yes, no),
        _step(_RETURN, _ERRNO | _EPERM),
        _step(_RETURN, _ALLOW),
    ]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
