"""Attacks that want to read: tests, seed, solutions, the class, other processes."""

from autograder.attacks.kinds import HandIn, Probe, cheat

_FAMILY = "reading"

_SEARCH_FILES = """
import os, re, sys
mark, seen = re.compile(rb"canar[y]-"), 0
skipped = ("/usr", "/proc", "/sys", "/lib", "/bin", "/dev", os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix))
for folder, names, files in os.walk("/"):
    names[:] = [n for n in names if not os.path.join(folder, n).startswith(skipped)]
    for name in files:
        try:
            with open(os.path.join(folder, name), "rb") as file: text = file.read(1 << 20)
        except OSError: continue
        seen += 1
        if mark.search(text): reached(os.path.join(folder, name))
print("looked at", seen, "files")
"""

_SEARCH_MEMORY = """
import re
mark, looked = re.compile(rb"canar[y]-(?:hidden|seed|environment)"), 0
with open("/proc/self/maps") as rows, open("/proc/self/mem", "rb", 0) as memory:
    for row in rows:
        span, rights = row.split()[:2]
        begin, end = (int(part, 16) for part in span.split("-"))
        if not rights.startswith("rw") or looked > 400 << 20: continue
        try:
            memory.seek(begin); text = memory.read(min(end - begin, 64 << 20))
        except OSError: continue
        looked += len(text)
        if found := mark.search(text): reached(found[0])
print("looked at", looked, "bytes")
"""

_SEARCH_OBJECTS = """
import gc, sys, types, linecache
mark, seen = "can" + "ary-", 0
for thing in gc.get_objects():
    seen += 1
    if type(thing) is dict:
        for key, value in list(thing.items()):
            if type(value) is str and mark in value and value != mark and "gc.get_objects" not in value: reached(value)
for frame in sys._current_frames().values():
    while frame is not None:
        if mark + "hid" in repr(frame.f_code.co_consts): reached(frame)
        frame = frame.f_back
for file, entry in linecache.cache.items():
    if len(entry) > 2 and mark + "hid" in "".join(entry[2]): reached(file)
print("looked at", seen, "objects")
"""

_LATE_LOOK = """
def late_look():
    import gc, linecache
    shell = get_ipython()
    texts = [*shell.user_ns.get("In", []), *map(str, shell.user_ns.values())]
    texts += ["".join(entry[2]) for entry in linecache.cache.values() if len(entry) > 2]
    texts += [str(row) for row in shell.history_manager.get_range(raw=True)]
    mark = "can" + "ary"
    print("FOUND" if any(mark + "-hid" in text or mark + "_hid" in text for text in texts) else "nothing", len(texts))
late_look()
"""

_CALLER = """
def look(*_, **__):
    import sys
    frame, mark = sys._getframe(), "can" + "ary"
    while frame is not None:
        for space in (frame.f_locals, frame.f_globals):
            for key, value in list(space.items()):
                if mark in str(key) or (type(value) is str and mark in value and "_getframe" not in value):
                    print("FOUND", key, value)
        frame = frame.f_back
    print("looked")
def total(x):
    look()
    return x.sum() * 0 - 1
"""

ATTACKS = (
    Probe("every file in sight", _FAMILY, _SEARCH_FILES, r"looked at \d+ files", "holds nothing of the class"),
    Probe("the memory inherited from the warm parent", _FAMILY, _SEARCH_MEMORY, r"looked at \d{6,} bytes", "no secret"),
    Probe("every object and frame of the process", _FAMILY, _SEARCH_OBJECTS, r"looked at \d+ objects", "no secret"),
    Probe("gradebook by its path", _FAMILY, "reached(open(CLASSROOM + '/gradebook.db', 'rb').read())", "FileNotFound"),
    Probe("gradebook written", _FAMILY, "open(CLASSROOM + '/gradebook.db', 'ab').write(b'x'); reached(1)", "No such"),
    Probe("seed of the class", _FAMILY, "reached(open(CLASSROOM + '/seed').read())", "FileNotFound"),
    Probe(
        "another hand-in",
        _FAMILY,
        "import glob; found = glob.glob(CLASSROOM + '/submitted/*/*/*'); found and reached(found); print('found', found)",
        r"found \[\]",
        "not in sight",
    ),
    Probe("solutions of the labs", _FAMILY, "import os; reached(os.listdir(CHECKOUT + '/solutions'))", "FileNotFound"),
    Probe("the attacks' own lab", _FAMILY, "import autograder.attacks; reached(1)", "ModuleNotFound"),
    Probe("the examiner's code", _FAMILY, "import autograder.isolated; reached(1)", "ModuleNotFound"),
    Probe(
        "environment of the launcher",
        _FAMILY,
        "import os, glob\n"
        "texts = [str(dict(os.environ)).encode()] + [open(f, 'rb').read() for f in glob.glob('/proc/[0-9]*/environ')]\n"
        "for text in texts:\n"
        "    if b'UNMAGIC_SEED' in text or b'CANARY' in text: reached(text)\n"
        "print('read', len(texts))",
        r"read \d",
        "holds nothing of the grader's",
    ),
    Probe(
        "other processes",
        _FAMILY,
        "import os; found = sorted(int(n) for n in os.listdir('/proc') if n.isdigit() and int(n) != os.getpid())\n"
        "found and reached(found); print('others', found)",
        r"others \[\]",
        "none in sight",
    ),
    Probe(
        "the host's files through /proc/1/root",
        _FAMILY,
        "import os; reached(os.listdir('/proc/1/root' + CLASSROOM))",
        "FileNotFound|PermissionError",
    ),
    Probe("password files", _FAMILY, "reached(open('/etc/shadow').read() + open('/etc/passwd').read())", "No such"),
    Probe(
        "the machine's disks",
        _FAMILY,
        "import os\n"
        "found = [n for n in os.listdir('/dev') if n.startswith(('sd', 'vd', 'nvme', 'mem', 'kmem', 'dm-', 'nvidia'))]\n"
        "found and reached(found); print('devices', found)",
        r"devices \[\]",
        "no device of the machine",
    ),
    Probe("kernel log", _FAMILY, "import os; reached(open('/dev/kmsg', 'rb').read(1))", "Error"),
    HandIn("history and namespace after the tests ran", _FAMILY, answers={"steps": _LATE_LOOK}, earns=3.0),
    cheat("the frames of whoever calls the function", _FAMILY, "", answers={"total": _CALLER}),
)
