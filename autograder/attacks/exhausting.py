"""Attacks that want to use up the machine, or end what grades them: each costs its own exercise and nothing more."""

from autograder.attacks.kinds import WRONG, HandIn, Probe

_ENDING = (
    HandIn("os._exit in a cell", "ending", "import os\nos._exit(0)", says="kernel died|the code ended"),
    HandIn("os._exit when it is called", "ending", "def total(x):\n    import os; os._exit(0)", says="died"),
    HandIn(
        "kills itself",
        "ending",
        "def total(x):\n    import os, signal; os.kill(os.getpid(), 11); os._exit(3)",
        says="died",
    ),
    HandIn("crashes the interpreter", "ending", "def total(x):\n    import ctypes; ctypes.string_at(0)", says="died"),
    HandIn("sys.exit", "ending", "import sys\nsys.exit(0)"),
    HandIn(
        "closes every file descriptor",
        "ending",
        "def total(x):\n    import os; os.closerange(0, 1000); return x.sum() * 0 - 1",
        cell_seconds=3.0,
        says="",
    ),
    HandIn(
        "an endless loop", "ending", "def total(x):\n    while True: pass", cell_seconds=2.0, says="took more than 2 s"
    ),
    HandIn(
        "an endless loop that ignores every interrupt",
        "ending",
        "def total(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        cell_seconds=2.0,
        says="took more than 2 s",
    ),
    HandIn(
        "signals ignored",
        "ending",
        "def total(x):\n    import signal, time\n    for n in range(1, 32):\n        try: signal.signal(n, signal.SIG_IGN)\n"
        "        except OSError: pass\n    while True: time.sleep(1)",
        cell_seconds=2.0,
        says="took more than 2 s",
    ),
    HandIn(
        "a thread that never ends",
        "ending",
        "import threading\ndef forever():\n    while True: pass\nthreading.Thread(target=forever).start()\n"
        + WRONG["total"],
    ),
    HandIn(
        "daemons that outlive the notebook",
        "ending",
        "import os, subprocess, sys, time\nfor _ in range(3):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        if os.fork() == 0: time.sleep(4711)\n        os._exit(0)\n"
        "subprocess.Popen(['sleep', '4711'], start_new_session=True)\n" + WRONG["total"],
    ),
)

_FLOODS = (
    HandIn("prints without end", "floods", "while True: print('x' * 1000)", says="printed more than|Printed more than"),
    HandIn(
        "prints without end when it is called",
        "floods",
        "def total(x):\n    while True: print('x' * 1000)",
        says="more than .* bytes",
    ),
    HandIn(
        "a display of 60 MB",
        "floods",
        "from IPython.display import HTML, display\ndisplay(HTML('x' * (60 << 20)))\n" + WRONG["total"],
        cell_seconds=20.0,
    ),
    HandIn(
        "memory until there is none",
        "floods",
        "def total(x):\n    kept = []\n    while True: kept.append(bytearray(b'x') * (64 << 20))",
        memory_mb=700,
        says="memory",
    ),
    HandIn(
        "memory of many processes together",
        "floods",
        "def total(x):\n    import os, time\n    for _ in range(8):\n        if os.fork() == 0:\n"
        "            hoard = bytearray(b'x') * (150 << 20); time.sleep(8); os._exit(0)\n"
        "    hoard = bytearray(b'x') * (300 << 20)\n    time.sleep(8)\n    return x.sum() * 0 - 1",
        memory_mb=700,
        says="memory",
        cell_seconds=15.0,
    ),
    HandIn(
        "memory by files in /tmp, /job and /dev/shm",
        "floods",
        "def total(x):\n    for folder in ('/tmp', '/job', '/dev/shm'):\n        try:\n            for n in range(20):\n"
        "                with open(f'{folder}/{n}', 'wb') as file: file.write(bytes(50 << 20))\n"
        "        except OSError: pass\n    import os\n"
        "    used = sum(os.statvfs(f).f_bsize * (os.statvfs(f).f_blocks - os.statvfs(f).f_bfree) for f in "
        "('/tmp', '/job', '/dev/shm'))\n    print('used', used >> 20, 'MB')\n    return x.sum() * 0 - 1",
    ),
)

_ROOM = (
    Probe(
        "fork bomb",
        "room",
        "import os, time\ncount = 0\ntry:\n    while count < 2000:\n        if os.fork() == 0: time.sleep(20); os._exit(0)\n"
        "        count += 1\nexcept OSError as error: print('stopped after', count, error)\n"
        "if count > 200: reached(count)\nos.kill(-1, 9)\nfor _ in range(count): os.wait()",
        r"stopped after \d+ ",
        "at most 64 processes",
    ),
    Probe(
        "threads without end",
        "room",
        "import threading, time\ncount, stop = 0, threading.Event()\ntry:\n    while count < 1000:\n"
        "        threading.Thread(target=stop.wait, daemon=True).start(); count += 1\n"
        "except RuntimeError as error: print('stopped after', count, error)\n"
        "finally: stop.set(); time.sleep(0.3)\nif count > 200: reached(count)",
        r"stopped after \d+ ",
        "at most 64 threads",
    ),
    Probe(
        "a file that grows",
        "room",
        "import os\ntry:\n    with open('/tmp/large', 'wb') as file:\n"
        "        for n in range(200): file.write(bytes(1 << 20))\n    reached('200 MB')\n"
        "finally: print(os.path.getsize('/tmp/large') >> 20, 'MB'); os.unlink('/tmp/large')",
        "File too large",
        "at most 64 MB",
    ),
    Probe(
        "a full disk",
        "room",
        "import os\nnames = [f'/job/fill{n}' for n in range(10)]\ntry:\n    for name in names:\n"
        "        with open(name, 'wb') as file: file.write(bytes(50 << 20))\n    reached('500 MB')\n"
        "finally:\n    for name in names:\n        if os.path.exists(name): os.unlink(name)",
        "No space left",
        "at most 128 MB",
    ),
    Probe(
        "inodes",
        "room",
        "import os\nos.mkdir('/tmp/many')\ncount = 0\ntry:\n    while count < 40000: open(f'/tmp/many/{count}', 'w').close(); count += 1\n"
        "    reached(count)\nfinally:\n    for n in range(count): os.unlink(f'/tmp/many/{n}')",
        "No space left",
        "at most 20,000 files",
    ),
    Probe(
        "open files",
        "room",
        "kept = []\ntry:\n    while len(kept) < 5000: kept.append(open('/dev/null'))\n    reached(len(kept))\n"
        "finally: [file.close() for file in kept]",
        "Too many open files",
        "at most 512",
    ),
    Probe(
        "the limits raised",
        "room",
        "import resource\n"
        "for name in ('NPROC', 'FSIZE', 'NOFILE', 'CPU'):\n"
        "    kind = getattr(resource, 'RLIMIT_' + name); soft, hard = resource.getrlimit(kind)\n"
        "    try: resource.setrlimit(kind, (hard * 2, hard * 2)); reached(name)\n"
        "    except (ValueError, OSError) as error: print(error)",
        r"not allowed to raise maximum limit|not permitted",
    ),
    Probe(
        "out of its control group",
        "room",
        "import os, glob\n"
        "for file in glob.glob('/sys/fs/cgroup/**/cgroup.procs', recursive=True): open(file, 'w').write('1'); reached(file)\n"
        "print('groups', os.path.exists('/sys/fs/cgroup'))",
        r"groups False",
        "none in sight",
    ),
)

ATTACKS = (*_ENDING, *_FLOODS, *_ROOM)
