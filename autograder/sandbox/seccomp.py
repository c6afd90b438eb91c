"""System calls that no notebook needs and an attack might: refused with "not permitted" (seccomp(2), by libseccomp).

A list of what is refused, not of what is allowed: Python, torch and BLAS use many calls, and the walls (namespaces, no
capabilities) stand without it. This closes what namespaces do not: sockets to the host (AF_VSOCK), keyrings, the
kernel's own attack surface.
"""

import errno
import resource

_REFUSED = (
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    # mounts and roots
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "open_by_handle_at", "name_to_handle_at", "mknod", "mknodat"),
    # namespaces and keyrings
    *("unshare", "setns", "keyctl", "add_key", "request_key"),
    # the kernel's own attack surface
    *("bpf", "perf_event_open", "userfaultfd", "fanotify_init", "lookup_dcookie", "modify_ldt", "personality"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "iopl", "ioperm"),
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
    # the machine
    *("reboot", "swapon", "swapoff", "acct", "quotactl", "syslog", "vhangup", "sethostname", "setdomainname"),
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex"),
)

_AF_INET = 2  # the kernel talks to itself over 127.0.0.1; the namespace holds no other interface
_CLONE_NEW = 0x7E020000 | 0x00000080  # every CLONE_NEW… flag, time namespace included
_TIOCSTI = 0x5412  # types into the launcher's terminal
_TIOCLINUX = 0x541C


def refuse_dangerous_calls() -> None:
    """Put the filter on this process and all it will start. It cannot be taken off again.

    Raises ImportError when pyseccomp or libseccomp is not installed.
    """
    import pyseccomp

    rules = pyseccomp.SyscallFilter(
        pyseccomp.ALLOW
    )  # another architecture's calls kill the process: libseccomp's default
    refused = pyseccomp.ERRNO(errno.EPERM)
    for name in _REFUSED:
        rules.add_rule(refused, name)
    # clone3 passes its flags in memory, where a filter cannot look: "no such call" makes the C library use clone
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for bit in range(32):
        if _CLONE_NEW & (1 << bit):
            rules.add_rule(refused, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, 1 << bit, 1 << bit))
    unsupported = pyseccomp.ERRNO(errno.EOPNOTSUPP)  # what libzmq takes for an answer; at "not permitted" it aborts
    for kind in ("socket", "socketpair"):
        rules.add_rule(unsupported, kind, pyseccomp.Arg(0, pyseccomp.GT, _AF_INET))
    for request in (_TIOCSTI, _TIOCLINUX):
        rules.add_rule(refused, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request))
    # its own processor time may not be cut: who is killed for that looks like one whom somebody else killed
    is_cpu = (pyseccomp.MASKED_EQ, 0xFFFFFFFF, resource.RLIMIT_CPU)
    rules.add_rule(refused, "setrlimit", pyseccomp.Arg(0, *is_cpu))
    rules.add_rule(refused, "prlimit64", pyseccomp.Arg(1, *is_cpu), pyseccomp.Arg(2, pyseccomp.NE, 0))
    rules.load()
