"""Attacks that want a wrong answer to pass: they change what the tests use, or who runs them."""

from autograder.attacks.kinds import WRONG, HandIn, cheat

_NO_TEST = "lambda *args, **kwargs: None"

_PATCHING = (
    cheat("torch.testing says nothing", "patching", f"import torch.testing as t\nt.assert_close = {_NO_TEST}"),
    cheat(
        "numpy.testing says nothing",
        "patching",
        "import numpy as np\n"
        f"for n in dir(np.testing):\n    if n.startswith('assert'): setattr(np.testing, n, {_NO_TEST})\n"
        "np.allclose = np.array_equal = np.isclose = lambda *a, **k: True",
    ),
    cheat(
        "unmagic.checks says nothing",
        "patching",
        f"import unmagic.checks as c\nfor n in dir(c):\n    if n.startswith('assert'): setattr(c, n, {_NO_TEST})\n"
        "import sys\nfor name, module in list(sys.modules.items()):\n    if name.startswith('unmagic.checks'):\n"
        f"        for n in dir(module):\n            if n.startswith('assert'): setattr(module, n, {_NO_TEST})",
    ),
    cheat(
        "the name `checks` is the student's",
        "patching",
        f"class Checks:\n    def __getattr__(self, name): return {_NO_TEST}\nchecks = Checks()\n"
        "import sys\nsys.modules['unmagic.checks'] = checks\nimport unmagic\nunmagic.checks = checks",
    ),
    cheat(
        "the names of the lab's imports are the student's",
        "patching",
        "class Torch:\n    def __getattr__(self, name): return lambda *a, **k: x_\nx_ = torch.zeros(())\n"
        "real, torch = torch, Torch()",
        answers={
            "total": "import torch as real\nclass T:\n    def __getattr__(self, n): return lambda *a, **k: "
            "real.zeros(())\ntorch = T()\ndef total(x):\n    return real.zeros(())"
        },
    ),
    cheat(
        "reference is the student's own",
        "patching",
        "import types\nreference = types.SimpleNamespace(total=lambda x: total(x), halve=lambda x: halve(x), "
        "steps=lambda x, n: steps(x, n))\nchecks.reference = lambda *a: reference",
    ),
    cheat(
        "fresh numbers are not fresh",
        "patching",
        "import os\nos.environ['UNMAGIC_SEED'] = 'mine'\nchecks.fresh = lambda *a: torch.Generator().manual_seed(0)\n"
        "torch.randn = lambda *a, **k: torch.zeros(*a)",
    ),
    cheat(
        "builtins lie",
        "patching",
        "import builtins\nbuiltins.all = lambda *a: True\nbuiltins.any = lambda *a: False\nbuiltins.abs = lambda x: 0\n"
        "class Silent(BaseException): pass\nbuiltins.AssertionError = Silent",
    ),
    cheat(
        "torch's comparisons lie",
        "patching",
        "yes = lambda *a, **k: True\ntorch.equal = torch.allclose = torch.is_same_size = yes\n"
        "torch.Tensor.__eq__ = lambda a, b: torch.ones(a.shape, dtype=torch.bool)\ntorch.Tensor.allclose = yes\n"
        "torch.isclose = lambda a, b, **k: torch.ones(a.shape, dtype=torch.bool)",
    ),
    cheat(
        "torch's functions change through the caller's frame",
        "patching",
        "import sys",
        answers={
            "total": "import sys\ndef total(x):\n    frame = sys._getframe()\n    while frame:\n"
            "        for space in (frame.f_globals, frame.f_locals):\n"
            f"            for n in list(space):\n                if n.startswith('assert'): space[n] = {_NO_TEST}\n"
            "        frame = frame.f_back\n    torch.testing.assert_close = checks.assert_close = "
            f"{_NO_TEST}\n    return x.sum() * 0 - 1"
        },
    ),
    cheat(
        "the tests' arguments are changed in place",
        "patching",
        "",
        answers={
            "total": "def total(x):\n    x.zero_()\n    return x.sum()",
            "halve": "def halve(x):\n    x.zero_()\n    return x",
        },
    ),
)

_HOOKS = (
    cheat(
        "a hook after every cell clears the error",
        "hooks",
        "def forgive(result):\n    result.error_in_exec = result.error_before_exec = None\n    result.result = 2\n"
        "get_ipython().events.register('post_run_cell', forgive)",
    ),
    cheat(
        "an AST transformer takes the asserts out",
        "hooks",
        "import ast\nclass Out(ast.NodeTransformer):\n    def visit_Assert(self, node): return ast.Pass()\n"
        "    def visit_Expr(self, node): return ast.copy_location(ast.Pass(), node)\n"
        "get_ipython().ast_transformers.append(Out())",
    ),
    cheat(
        "an input transformer empties the cells",
        "hooks",
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['2\\n'])",
    ),
    cheat(
        "run_code runs nothing",
        "hooks",
        "async def nothing(*args, **kwargs): return False\nget_ipython().run_code = nothing",
    ),
    cheat(
        "the kernel's do_execute says ok",
        "hooks",
        "async def ok(*args, **kwargs):\n"
        "    return {'status': 'ok', 'execution_count': 1, 'user_expressions': {}, 'payload': []}\n"
        "get_ipython().kernel.do_execute = ok",
        cell_seconds=3.0,
    ),
    cheat(
        "run_cell is the student's",
        "hooks",
        "class Fine:\n    success = True; error_in_exec = error_before_exec = None; result = 2; execution_count = 1\n"
        "get_ipython().run_cell = lambda *a, **k: Fine()\nasync def fine(*a, **k): return Fine()\n"
        "get_ipython().run_cell_async = fine",
        cell_seconds=3.0,
    ),
    cheat("run_cell_async is None", "hooks", "get_ipython().run_cell_async = None", cell_seconds=3.0),
    cheat(
        "the display hook shows a score",
        "hooks",
        "import sys\nget_ipython().events.register('post_execute', lambda: sys.displayhook(2.0))",
    ),
    cheat(
        "a score published for every tests cell, also the half right ones",
        "hooks",
        "import functools",
        answers={
            "halve": "def halve(x):\n    kernel = get_ipython().kernel\n"
            "    kernel.session.send(kernel.iopub_socket, 'execute_result', {'data': {'text/plain': '1.0'}, "
            "'metadata': {}, 'execution_count': 1}, parent=kernel.get_parent('shell'), ident=b'execute_result')\n"
            "    return x / 2 if x.shape == (1,) and float(x[0]) == 2.0 else x * 3 + 1"
        },
        earns=0.5,
    ),
    HandIn(
        "a score above the points, published",
        "hooks",
        answers={
            "halve": "def halve(x):\n    kernel = get_ipython().kernel\n"
            "    kernel.session.send(kernel.iopub_socket, 'execute_result', {'data': {'text/plain': '1000'}, "
            "'metadata': {}, 'execution_count': 1}, parent=kernel.get_parent('shell'), ident=b'execute_result')\n"
            "    return x / 2"
        },
        earns=5.0,
    ),
    cheat(
        "a comm handler answers for the kernel",
        "hooks",
        "from comm import get_comm_manager\nmanager = get_comm_manager()\n"
        "manager.register_target('score', lambda comm, message: comm.send({'score': 2}))\n"
        "from comm import create_comm\nline = create_comm('score', data={'points': 100})\nline.send({'points': 100})",
    ),
)

_EQUAL = "class Same:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n"
_ANY = (
    "    def __getattr__(self, name): return self\n    def __call__(self, *a, **k): return self\n"
    "    def __bool__(self): return True\n    def __len__(self): return 1\n    def __float__(self): return 0.0\n"
    "    def __index__(self): return 1\n    def __iter__(self): return iter([self])\n"
    "    def __sub__(self, other): return 0\n    __rsub__ = __sub__\n    def __abs__(self): return 0\n"
    "    def __le__(self, other): return True\n    __lt__ = __ge__ = __gt__ = __le__\n"
    "    def __array__(self, *a, **k): import numpy; return numpy.zeros(())\n    __hash__ = None\n"
)


def _returning(value: str, before: str = "") -> dict[str, str]:
    return {
        "total": f"{before}\ndef total(x): return {value}",
        "halve": f"def halve(x): return {value}",
        "steps": f"def steps(x, n): return [{value}] * n",
    }


_OBJECTS = (
    cheat("an object equal to everything", "objects", "", answers=_returning("Same()", _EQUAL + _ANY)),
    cheat(
        "a tensor subclass whose every function says yes",
        "objects",
        "",
        answers=_returning(
            "x.as_subclass(Yes)",
            "class Yes(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, f, types, args=(), kwargs=None):\n"
            "        if f.__name__ in ('equal', 'allclose', 'is_same_size', '__bool__'): return True\n"
            "        if f.__name__ in ('isclose', 'eq', 'le', '__eq__'): return torch.ones((), dtype=torch.bool)\n"
            "        return super().__torch_function__(f, types, args, kwargs or {})",
        ),
    ),
    cheat(
        "a number equal to everything",
        "objects",
        "",
        answers=_returning(
            "Number(3)", "class Number(float):\n    __eq__ = lambda a, b: True\n    __hash__ = float.__hash__"
        ),
    ),
    cheat(
        "a string and a list that lie about their length",
        "objects",
        "",
        answers={
            **_returning("Text('x')", "class Text(str):\n    __eq__ = lambda a, b: True\n    __hash__ = str.__hash__"),
            "steps": "class List(list):\n    __len__ = lambda self: 4\n    __eq__ = lambda a, b: True\n"
            "def steps(x, n): return List()",
        },
    ),
    cheat(
        "not a number, and nothing at all",
        "objects",
        "",
        answers={**_returning("x * float('nan')"), "halve": "def halve(x): return None"},
    ),
    cheat(
        "an array with an object in it",
        "objects",
        "",
        answers=_returning("np.array([Same()], dtype=object)", "import numpy as np\n" + _EQUAL + _ANY),
    ),
    cheat(
        "a class that calls itself a tensor",
        "objects",
        "",
        answers=_returning("Fake()", _EQUAL + _ANY + "class Fake(Same):\n    __class__ = torch.Tensor"),
    ),
    cheat(
        "exceptions that look like the tests' own",
        "objects",
        "from unmagic.checks import CheckError",
        answers={
            "total": "def total(x):\n    raise type('CheckError', (AssertionError,), {'kind': 'ok', 'hint': ''})('fine')",
            "halve": "def halve(x): raise StopIteration(2)",
            "steps": "def steps(x, n): raise SystemExit(0)",
        },
    ),
)

_METADATA = (
    cheat(
        "every cell tagged skip-execution",
        "metadata",
        "",
        metadata={"tags": ["skip-execution", "raises-exception", "nbval-skip"]},
    ),
    cheat(
        "points and grade edited in the notebook",
        "metadata",
        "",
        metadata={"points": 100, "score": 100, "max_score": 1, "deletable": False},
    ),
    HandIn(
        "a cell that answers twice under the tests' ids",
        "metadata",
        code=WRONG["total"],
        extra=("test_total = lambda: 100",),
        earns=5.0,
    ),
    HandIn(
        "an own cell that makes every later one skip itself",
        "metadata",
        extra=("get_ipython().run_line_magic('config', 'InteractiveShell.ast_node_interactivity=\"none\"')",),
        earns=5.0,
    ),
)

ATTACKS = (*_PATCHING, *_HOOKS, *_OBJECTS, *_METADATA)
