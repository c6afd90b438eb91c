"""Attacks that speak in the kernel's or the bridge's place: forged messages, malformed data, answers that never come."""

from autograder.attacks.kinds import WRONG, HandIn, cheat

_TAKE_OVER = """
import autograder.bridge.notebook as notebook, socket, struct, time
def answer(shell, path, names, seed):
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        reply(line)
honest, notebook.answer = notebook.answer, answer
def prefix(header, body=0, magic=b"UNMG", version=1):
    return struct.pack(">4sHIQ", magic, version, header, body)
def each(line, *parts):
    while line.recv(1 << 16):
        for part in parts: line.sendall(part)
"""


def _wire(name: str, reply: str, **options) -> HandIn:
    """The bridge's student end is the attacker's: nothing it sends may be worth a point, or stop the grader."""
    body = "\n".join(f"    {row}" for row in reply.split("\n"))
    return cheat(name, "wire", f"{_TAKE_OVER}def reply(line):\n{body}", **{"cell_seconds": 3.0, **options})


_WIRE = (
    _wire("a message of a petabyte announced", "each(line, prefix(1 << 20, 1 << 50))"),
    _wire("a header of 4 GB announced", "each(line, prefix((1 << 32) - 1))"),
    _wire("another magic number", "each(line, prefix(10, 0, b'HTTP'), b'x' * 10)"),
    _wire("another version", "each(line, prefix(10, 0, version=9), b'x' * 10)"),
    _wire("lists nested a million deep", "text = b'[' * (1 << 20)\neach(line, prefix(len(text)), text)"),
    _wire(
        "objects nested inside the header",
        'text = b\'{"tensors": [], "value": \' + b\'{"a": \' * 50000\neach(line, prefix(len(text)), text)',
    ),
    _wire(
        "ten million values",
        "text = b'{\"tensors\": [], \"value\": [\"list\"' + b',0' * 7_000_000 + b']}'\neach(line, prefix(len(text)), text)",
    ),
    _wire(
        "a number of a million digits",
        "text = b'{\"tensors\": [], \"value\": ' + b'9' * (1 << 20) + b'}'\neach(line, prefix(len(text)), text)",
    ),
    _wire(
        "tensors whose sizes do not fit their bytes",
        'header = b\'{"a":{"dtype":"F32","shape":[1099511627776,99],"data_offsets":[0,4]}}\'\n'
        "body = struct.pack('<Q', len(header)) + header + bytes(4)\n"
        'text = b\'{"tensors": [["tensor","float32","cpu",0,null]], "value": ["tensor",0]}\'\n'
        "each(line, prefix(len(text), len(body)), text, body)",
    ),
    _wire("random bytes", "import os\neach(line, os.urandom(1 << 16))"),
    _wire("a message that ends in the middle", "line.recv(1 << 16)\nline.sendall(prefix(1000)); line.sendall(b'{')"),
    _wire("hangs up at once", "pass"),
    _wire("no answer ever", "time.sleep(1000)", says="took more than"),
    _wire(
        "an answer byte by byte",
        "line.recv(1 << 16)\nfor byte in prefix(1 << 20) + b'[' * 1000:\n    line.sendall(bytes([byte])); time.sleep(0.2)",
        says="took more than",
    ),
    _wire(
        "answers before it is asked",
        'text = b\'{"tensors": [], "value": true}\'\n'
        "for _ in range(1000): line.sendall(prefix(len(text)) + text)\neach(line, b'')",
    ),
    _wire(
        "handles that were never given",
        'text = b\'{"tensors": [], "value": ["tuple", "value", ["handle", -1, "object", "x", "y"], 1]}\'\n'
        "each(line, prefix(len(text)), text)",
    ),
    _wire(
        "functions of the trusted side by name",
        'text = b\'{"tensors": [], "value": ["tuple", "value", ["name", "torch:load"], 1]}\'\n'
        "each(line, prefix(len(text)), text)",
    ),
    _wire(
        "a list of a trillion numbers in twenty bytes",
        'text = b\'{"tensors": [], "value": ["tuple", "value", ["range", 0, 1000000000000, 1], 1]}\'\n'
        "each(line, prefix(len(text)), text)",
    ),
    _wire(
        "a forged exception that ends programs",
        'text = b\'{"tensors": [], "value": ["tuple", "raised", ["list", "SystemExit", "KeyboardInterrupt"], '
        '"0", ["list"], false]}\'\neach(line, prefix(len(text)), text)',
    ),
    cheat(
        "a second connection beside the honest one",
        "wire",
        "import autograder.bridge.notebook as notebook, socket, threading, time\nhonest = notebook.answer\n"
        "def answer(shell, path, names, seed):\n"
        "    def more():\n"
        "        kept = []\n"
        "        for _ in range(50):\n"
        "            line = socket.socket(socket.AF_UNIX); line.settimeout(0.1)\n"
        "            try: line.connect(path)\n"
        "            except OSError: pass\n"
        "            kept.append(line)\n"
        "            time.sleep(0.002)\n"
        "        time.sleep(0.3)\n"
        "    threading.Thread(target=more).start()\n"
        "    return honest(shell, path, names, seed)\n"
        "notebook.answer = answer",
        cell_seconds=3.0,
    ),
    cheat(
        "a thread answers while the cell says that it is done",
        "wire",
        _TAKE_OVER + "import threading\ndef answer(shell, path, names, seed):\n"
        "    def late():\n"
        "        with socket.socket(socket.AF_UNIX) as line:\n"
        "            line.connect(path); time.sleep(1000)\n"
        "    threading.Thread(target=late, daemon=True).start(); time.sleep(0.2)\n"
        "notebook.answer = answer",
        cell_seconds=3.0,
    ),
)

_HANDLES = (
    HandIn(
        "an iterator that never ends",
        "handles",
        "def total(x):\n    return x.sum() * 0 - 1",
        answers={"steps": "def steps(x, n):\n    while True: yield x"},
        earns=3.0,
        cell_seconds=3.0,
    ),
    HandIn(
        "an iterator of large tensors that never ends",
        "handles",
        answers={"steps": "def steps(x, n):\n    while True: yield torch.zeros(4 << 20)"},
        earns=3.0,
        cell_seconds=30.0,
    ),
    HandIn(
        "a range of a trillion",
        "handles",
        answers={"steps": "def steps(x, n):\n    return range(10**12)"},
        earns=3.0,
        says="",
    ),
    HandIn(
        "a result of a gigabyte",
        "handles",
        "def total(x):\n    return torch.zeros(1 << 28)",
        cell_seconds=30.0,
    ),
    HandIn(
        "a result nested ten thousand deep",
        "handles",
        "def total(x):\n    deep = []\n    for _ in range(10000): deep = [deep]\n    return deep",
    ),
    HandIn(
        "a result that contains itself",
        "handles",
        "def total(x):\n    me = []\n    me.append(me)\n    return me",
    ),
    HandIn(
        "a function that calls itself for ever",
        "handles",
        "def total(x):\n    return total(x)",
        says="",
    ),
    HandIn(
        "an exception whose text never ends",
        "handles",
        "class Endless(Exception):\n    def __str__(self):\n        while True: pass\ndef total(x):\n    raise Endless",
        cell_seconds=3.0,
        says="took more than",
    ),
    HandIn(
        "a wrong gradient of another shape",
        "handles",
        "class Odd(torch.autograd.Function):\n"
        "    forward = staticmethod(lambda ctx, x: (x**2).sum() + 1)\n"
        "    backward = staticmethod(lambda ctx, g: torch.ones(99))\n"
        "def total(x):\n    return Odd.apply(x.requires_grad_())",
    ),
)

_SEND = (
    "kernel = get_ipython().kernel\n"
    "def send(kind, content, **options):\n"
    "    kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent('shell'), **options)\n"
)

_MESSAGES = (
    cheat(
        "`ok` and `idle` forged before the work is done",
        "messages",
        _SEND,
        answers={
            "total": _SEND + "def total(x):\n"
            "    parent = kernel.get_parent('shell')\n"
            "    for ident in (kernel._parent_ident.get('shell', []) if hasattr(kernel, '_parent_ident') else [],):\n"
            "        kernel.session.send(kernel.shell_stream, 'execute_reply', {'status': 'ok', 'execution_count': 1, "
            "'user_expressions': {}, 'payload': []}, parent, ident=ident)\n"
            "    send('status', {'execution_state': 'idle'})\n"
            "    return x.sum() * 0 - 1"
        },
    ),
    HandIn(
        "messages whose content is no dict",
        "messages",
        _SEND + "for kind in ('stream', 'status', 'display_data', 'error'):\n"
        "    for content in ([1, 2], 'text', None, {'data': 3, 'text': {'a': 1}, 'traceback': 5, 'name': []}):\n"
        "        send(kind, content)\n" + WRONG["total"],
        cell_seconds=5.0,
    ),
    HandIn(
        "messages that are not Jupyter's",
        "messages",
        "socket = get_ipython().kernel.iopub_socket\n"
        "for parts in ([b'x'], [b'<IDS|MSG>'], [b'<IDS|MSG>', b'', b'', b'', b'', b''], [b'<IDS|MSG>', b'0' * 64, "
        "b'{', b'[', b'1', b'null']):\n    socket.send_multipart(parts)\n" + WRONG["total"],
        cell_seconds=5.0,
    ),
    HandIn(
        "signed messages whose headers are lists",
        "messages",
        "kernel = get_ipython().kernel\nsession, socket = kernel.session, kernel.iopub_socket\n"
        "for header, parent in ((b'[]', b'{}'), (b'{}', b'[]'), (b'1', b'null'), (b'{\"msg_type\": 3}', b'{}')):\n"
        "    parts = [header, parent, b'{}', b'{}']\n"
        "    socket.send_multipart([b'x', b'<IDS|MSG>', session.sign(parts), *parts])\n" + WRONG["total"],
        cell_seconds=5.0,
    ),
    HandIn(
        "one message of 100 MB",
        "messages",
        _SEND + "send('stream', {'name': 'stdout', 'text': 'x' * (100 << 20)})\n" + WRONG["total"],
        cell_seconds=20.0,
    ),
    HandIn(
        "a flood of messages nobody asked for",
        "messages",
        _SEND + "for n in range(20000): send('comm_msg', {'comm_id': 'x', 'data': {'n': n}})\n"
        "for n in range(2000): send('clear_output', {'wait': False})\n" + WRONG["total"],
        cell_seconds=20.0,
    ),
    HandIn(
        "an error that answers with a bomb when it is asked for its lines",
        "messages",
        "import sys\nreal = __import__('json').dumps\n"
        "__import__('json').dumps = lambda *a, **k: '[' * 1000000\n"
        "raise ValueError('look at me')",
        cell_seconds=3.0,
    ),
    HandIn(
        "an expression a million deep in the place of an error's lines",
        "messages",
        "import builtins, json\nclass Deep:\n    def __repr__(self): return '-' * 1000000 + '1'\n"
        "json.dumps = lambda *a, **k: Deep()\nraise ValueError('look at me')",
        cell_seconds=3.0,
    ),
    HandIn(
        "asks the instructor for a password", "messages", "input('password? ')\n" + WRONG["total"], cell_seconds=5.0
    ),
)

ATTACKS = (*_WIRE, *_HANDLES, *_MESSAGES)
