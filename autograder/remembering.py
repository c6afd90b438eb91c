"""Whether a hand-in's code could remember earlier calls, so that one test's verdict may hang on the tests before it.

Read from the source, never run. In doubt the answer is yes: it costs a whole regrading of that hand-in, nothing else.
What hides its memory on purpose (behind `getattr`, say) can slip through.
"""

import ast
from collections.abc import Iterable

from IPython.core.inputtransformer2 import TransformerManager

from autograder.fitting import FittedCell
from autograder.labs.names import names_of

# modules whose functions keep nothing between calls, but for random numbers, which every tests cell seeds
_MODULES = {"__future__", "abc", "collections", "dataclasses", "enum", "functools", "itertools", "math", "matplotlib"}
_MODULES |= {"numpy", "operator", "random", "sklearn", "statistics", "torch", "torchvision", "typing", "unmagic"}
_DECORATORS = {"abstractmethod", "classmethod", "dataclass", "no_grad", "inference_mode", "overload", "override"}
_DECORATORS |= {"property", "staticmethod", "wraps"}
# the namespace itself, files, and what is written by another name
_REACHING = {"__builtins__", "__import__", "delattr", "eval", "exec", "get_ipython", "globals", "locals", "open"}
_REACHING |= {"setattr", "vars", "__dict__", "__globals__", "__setattr__"}
_KEEPING = {"cache", "cached_property", "count", "cycle", "lru_cache"}  # of functools and itertools
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def remembers(cells: list[FittedCell]) -> bool:
    """True when a student's function may answer by what it was asked before.

    Args:
        cells: the fitted notebook. Of the student's cells those that are run count.
    """
    try:
        own = [_tree(c.source) for c in cells if c.run and c.kind not in ("setup", "tests")]
        setup = [_tree(c.source) for c in cells if c.kind == "setup"]
        tests = [names_of(c.source) for c in cells if c.kind == "tests"]
    except (ValueError, RecursionError):
        return True
    own_state, shared_state = _state_names(own), _state_names(setup)
    return (
        any((names.used - names.defined) & own_state for names in tests)
        or any(_keeps(node) for tree in own for node in ast.walk(tree))
        or any(_touches_state(f, own_state, shared_state) for tree in own for f in _functions(tree))
    )


def _tree(source: str) -> ast.Module:
    """A cell's syntax. One that is not Python defines nothing, and so remembers nothing."""
    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return ast.Module([], [])


def _functions(tree: ast.Module) -> Iterable[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, _DEFINITIONS))


def _keeps(node: ast.AST) -> bool:
    """What keeps something wherever it stands."""
    match node:
        case ast.Global() | ast.Nonlocal():
            return True
        case ast.Import(names=names):
            return any(n.name.split(".")[0] not in _MODULES for n in names)
        case ast.ImportFrom(module=module, names=names):
            return (module or "").split(".")[0] not in _MODULES or any(n.name in _KEEPING for n in names)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _REACHING | _KEEPING or name.startswith("set_")  # torch.set_default_dtype and the like
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
            return not all(map(_decorator_known, node.decorator_list)) or not all(map(_fixed, defaults))
        case ast.ClassDef(body=body):
            values = [s.value for s in body if isinstance(s, ast.Assign | ast.AnnAssign) and s.value is not None]
            return not all(map(_decorator_known, node.decorator_list)) or not all(map(_fixed, values))
    return False


def _decorator_known(node: ast.expr) -> bool:
    node = node.func if isinstance(node, ast.Call) else node
    return (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")) in _DECORATORS


def _fixed(node: ast.expr) -> bool:
    """An expression whose value nobody can change: a number, a string, a function, a name of one."""
    match node:
        case ast.Constant() | ast.Lambda() | ast.Name():
            return True
        case ast.Attribute(value=value):
            return _fixed(value)
        case ast.UnaryOp(operand=operand):
            return _fixed(operand)
        case ast.BinOp(left=left, right=right):
            return _fixed(left) and _fixed(right)
        case ast.Tuple(elts=parts):
            return all(map(_fixed, parts))
    return False


def _state_names(trees: list[ast.Module]) -> set[str]:
    """Global names whose values may change in place: what is bound at top level to more than a number or a function."""
    found: set[str] = set()
    todo = [statement for tree in trees for statement in tree.body]
    while todo:
        statement = todo.pop(0)
        if isinstance(statement, (*_DEFINITIONS, ast.ClassDef)):
            continue
        value = getattr(statement, "value", None)
        if isinstance(statement, ast.Assign | ast.AnnAssign) and value is not None and _fixed(value):
            taken = {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
            if not taken & found:
                continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def _touches_state(function: ast.AST, own: set[str], shared: set[str]) -> bool:
    """A function that uses a changeable value of the student's, or changes anything that is not its own."""
    local = {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}
    local |= {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in own - local:
            return True
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            root = _root(node)
            if root not in local:
                return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _root(node.func) in shared - local:
            return True
    return False


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
