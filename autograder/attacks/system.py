"""Attacks on the walls: system calls, the network, neighbours, signals, the read-only system."""

from autograder.attacks.kinds import Probe

_DENIED = r"Operation not permitted|EPERM"


def _call(name: str, number: int, *arguments: str) -> Probe:
    """A system call (x86-64 and aarch64 have different numbers; the probe takes its machine's)."""
    own, arm = number, _AARCH64.get(number, number)
    code = (
        "import ctypes, errno, platform\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"number = {own} if platform.machine() == 'x86_64' else {arm}\n"
        f"result = libc.syscall(number, {', '.join(arguments)})\n"
        "if result != -1: reached(result)\nprint('said', errno.errorcode.get(ctypes.get_errno()))"
    )
    return Probe(name, "system calls", code, r"said EPERM")


_AARCH64 = {101: 117, 310: 270, 165: 40, 272: 97, 308: 268, 250: 219, 321: 280, 298: 241, 155: 41, 161: 51, 175: 105,
            169: 142, 323: 282, 304: 265, 438: 438, 425: 425, 429: 429, 435: 435}  # fmt: skip

_CALLS = (
    _call("ptrace another process", 101, "16", "1", "0", "0"),
    _call("process_vm_readv", 310, "1", "0", "0", "0", "0", "0"),
    _call("mount", 165, "b'none'", "b'/tmp'", "b'tmpfs'", "0", "0"),
    _call("open_tree", 428, "-100", "b'/'", "1"),
    _call("unshare a user namespace", 272, "0x10000000"),
    _call("setns", 308, "0", "0"),
    _call("keyctl", 250, "0", "-3", "0"),
    _call("bpf", 321, "0", "0", "0"),
    _call("perf_event_open", 298, "0", "0", "-1", "-1", "0"),
    _call("io_uring_setup", 425, "1", "0"),
    _call("pivot_root", 155, "b'/tmp'", "b'/tmp'"),
    _call("chroot", 161, "b'/tmp'"),
    _call("load a kernel module", 175, "0", "0", "b''"),
    _call("reboot", 169, "0xfee1dead", "672274793", "0x1234567", "0"),
    _call("userfaultfd", 323, "0"),
    _call("open_by_handle_at", 304, "-100", "0", "0"),
    _call("pidfd_getfd", 438, "0", "0", "0"),
    Probe(
        "clone into new namespaces",
        "system calls",
        "import ctypes, errno, os, platform\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "for number, flags in ((56 if platform.machine() == 'x86_64' else 220, 0x10000000 | 17),):\n"
        "    result = libc.syscall(number, flags, 0, 0, 0, 0)\n"
        "    if result == 0: os._exit(0)\n"
        "    if result > 0: reached(result)\n"
        "print('said', errno.errorcode.get(ctypes.get_errno()))\n"
        "libc.syscall(435, 0, 0); print('clone3', errno.errorcode.get(ctypes.get_errno()))",
        r"said EPERM\nclone3 ENOSYS",
    ),
    Probe(
        "be root",
        "system calls",
        "import os\n"
        "for change in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):\n"
        "    try: change(); reached('root')\n"
        "    except OSError as error: print(error)",
        r"(Operation not permitted.*\n?){1,3}|Invalid argument",
    ),
    Probe(
        "a set-uid program",
        "system calls",
        "import os, shutil, subprocess\n"
        "program = next((p for p in ('/usr/bin/su', '/usr/bin/mount', '/usr/bin/passwd') if os.path.exists(p)), None)\n"
        "rights = [r for r in open('/proc/self/status') if r.startswith(('NoNewPrivs', 'CapBnd', 'CapEff'))]\n"
        "print(rights)\n"
        "if any(int(r.split()[1], 16) for r in rights if r.startswith('Cap')): reached(rights)",
        r"NoNewPrivs:\\t1",
        "no capability, and none to be had",
    ),
)

_NETWORK = tuple(
    Probe(f"the network: {name}", "network", code, refused)
    for name, code, refused in (
        (
            "another host",
            "import socket; s = socket.socket(); s.settimeout(2); s.connect(('192.0.2.1', 80)); reached(s)",
            "unreachable",
        ),
        (
            "a server on this machine",
            "import socket; s = socket.socket(); s.settimeout(2); s.connect(('127.0.0.1', 8888)); reached(s)",
            "refused|unreachable",
        ),
        ("a name looked up", "import socket; reached(socket.getaddrinfo('example.org', 80))", "gaierror"),
        ("UDP", "import socket; socket.socket(2, 2).sendto(b'x', ('192.0.2.1', 53)); reached(1)", "unreachable"),
        ("IPv6", "import socket; socket.socket(socket.AF_INET6); reached(1)", "not supported"),
        ("AF_VSOCK, to the host of a virtual machine", "import socket; socket.socket(40); reached(1)", "not supported"),
        ("AF_NETLINK", "import socket; socket.socket(16, 3); reached(1)", "not supported"),
        ("AF_PACKET", "import socket; socket.socket(17, 3); reached(1)", "not supported|not permitted"),
        ("AF_ALG", "import socket; socket.socket(38, 5); reached(1)", "not supported"),
        (
            "abstract sockets of the host",
            "import socket\n"
            "rows = [r.split() for r in open('/proc/net/unix').read().splitlines()[1:]]\n"
            "names = [r[7] for r in rows if len(r) > 7 and '/job/' not in r[7]]\n"
            "names and reached(names); print('abstract', names)",
            r"abstract \[\]",
        ),
    )
)

_NEIGHBOURS = (
    Probe(
        "sockets of other hand-ins and of the warm parent",
        "neighbours",
        "import os\nfound = [os.path.join(f, n) for root in ('/run', '/tmp', '/job', '/dev/shm')\n"
        "         for f, _, names in os.walk(root) for n in names if not f.startswith('/job/.sockets')]\n"
        "found = [n for n in found if 'sandbox' in n or 'control' in n or 'slots' in n or 'ipython' not in n "
        "and 'matplotlib' not in n]\n"
        "found and reached(found); print('found', found)",
        r"found \[\]",
        "none in sight",
    ),
    Probe(
        "the warm parent's control socket by its path",
        "neighbours",
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect(PARENT + '/control'); reached(1)",
        "No such file|denied",
    ),
    Probe(
        "its own sockets replaced by links",
        "neighbours",
        "import os\n"
        "for act in (lambda n: os.unlink(n), lambda n: os.rename(n, n + '.old'), lambda n: os.symlink('/etc', n + '2'), "
        "lambda n: open(n + '3', 'w')):\n"
        "    for name in os.listdir('/job/.sockets'):\n"
        "        try: act('/job/.sockets/' + name); reached(name)\n"
        "        except OSError as error: last = error\n"
        "print(last)",
        "Read-only",
    ),
    Probe(
        "the sockets' folder moved away",
        "neighbours",
        "import os, shutil\n"
        "for act in (lambda: os.rename('/job/.sockets', '/job/x'), lambda: os.rmdir('/job/.sockets')):\n"
        "    try: act(); reached('moved')\n    except OSError as error: print(error)",
        "busy",
    ),
    Probe(
        "shared memory of others",
        "neighbours",
        "import os, ctypes\nfound = os.listdir('/dev/shm'); rows = open('/proc/sysvipc/shm').read().splitlines()[1:]\n"
        "(found or rows) and reached((found, rows)); print('shared', found, rows)",
        r"shared \[\] \[\]",
        "none in sight",
    ),
    Probe(
        "file descriptors left open by the parent",
        "neighbours",
        "import os\nseen = []\n"
        "for n in os.listdir('/proc/self/fd'):\n"
        "    try: seen.append(os.readlink('/proc/self/fd/' + n))\n    except OSError: pass\n"
        "odd = [s for s in seen if s.startswith('/') and s != '/dev/null' and not s.startswith(('/proc/', '/job/', '/dev/'))]\n"
        "odd and reached(odd); print('odd', odd)",
        r"odd \[\]",
        "none",
    ),
)

_WRITING = tuple(
    Probe(f"write to {path}", "writing", f"open({path!r}, 'w'); reached(1)", "Read-only|denied|No such file")
    for path in ("/usr/x", "/x", "/dev/x", "/opt/course/unmagic/x", "/run/x", "/etc/x", "/proc/sys/kernel/core_pattern",
                 "/proc/sysrq-trigger", "/proc/1/oom_score_adj_", "/sys/x")
)  # fmt: skip

_SIGNALS = (
    Probe(
        "kill everything in sight",
        "signals",
        "import os\n"
        "for pid in (-1, 0, os.getppid(), -os.getppid()):\n"
        "    try:\n"
        "        if pid not in (0, os.getpid()): os.kill(pid, 9)\n"
        "        print('sent to', pid)\n    except OSError as error: print(error)\n"
        "print('still here')",
        "still here",
        "nobody else is hit",
    ),
    Probe(
        "stop everything in sight",
        "signals",
        "import os, signal\nfor pid in (-1, os.getpid(), 0):\n"
        "    try: os.kill(pid, signal.SIGSTOP)\n    except OSError as error: print(error)\nprint('still here')",
        "still here",
        "nobody else is hit",
    ),
    Probe("the parent's priority", "signals", "import os; os.nice(-10); reached(1)", "not permitted|denied"),
)

ATTACKS = (*_CALLS, *_NETWORK, *_NEIGHBOURS, *_WRITING, *_SIGNALS)
