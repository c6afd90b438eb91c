"""By hand means by hand: an exercise can name what its answer may not use, and the source is looked at for it.

It is a rule, not a proof: it reads what was written and does not run it. It helps the honest, who see at once what is
not meant, and it is checked outside of the student's process when a lab is graded.
"""

from unmagic.checks.errors import CheckError

import ast
import contextlib
import re
import symtable
import sys
import typing
from collections.abc import Iterable, Iterator

_known: tuple[str, ...] | None = None  # sources of the cells that were run; None: ask the notebook
_MISSING = object()


@contextlib.contextmanager
def cells_known(sources: Iterable[str]) -> Iterator[None]:
    """While tests run outside of a notebook, `assert_by_hand` looks at these cells, in the order they were run."""
    global _known
    before, _known = _known, tuple(sources)
    try:
        yield
    finally:
        _known = before


def assert_by_hand(name: str, *, without: Iterable[str], hint: str = "") -> None:
    """The source that defines `name`, and what it uses of the notebook's other cells, does without some functions.

    Args:
        name: a function or class that the student's cell defines.
        without: "torch.nn.functional.conv2d" forbids that function, "torch.autograd" a module and everything in it,
            under whatever name they were imported; ".backward" an attribute of that name, of anything.

    Raises CheckError of kind "by_hand" that names the line. A rule, not a proof: what is reached by way of `exec` or
    a dictionary is not seen.
    """
    __tracebackhide__ = True
    forbidden = (without,) if isinstance(without, str) else tuple(without)
    statements = _statements(_cells())
    if name not in statements:
        message = f"{name}: not defined.\n Found no cell that defines `{name}`; wanted one."
        raise CheckError(message, kind="by_hand", name=name, hint=hint)
    for owner, use, line, text in _uses(name, statements, forbidden):
        inside = "" if owner == name else f", which `{name}` uses"
        raise CheckError(
            f"{name}: by hand means by hand.\n Found `{use}` in `{owner}`{inside} (line {line} of its cell: `{text}`); "
            f"wanted an answer without it: this exercise is about what `{use.removeprefix('.')}` does for you.",
            kind="by_hand",
            name=name,
            hint=hint,
        )


def _cells() -> tuple[str, ...]:
    if _known is not None:
        return _known
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        raise RuntimeError(
            "assert_by_hand() found neither a notebook nor the cells of one, and cannot read the source. "
            "Run the lab as a notebook."
        )
    return tuple(text for text in shell.user_ns.get("In", ()) if type(text) is str)


class _Statement(typing.NamedTuple):
    """A statement at the top level of a cell, and the text of the cell."""

    node: ast.stmt
    cell: str


def _statements(cells: Iterable[str]) -> dict[str, list[_Statement]]:
    """The statements that define each name, as the latest cell that does so has them."""
    found: dict[str, list[_Statement]] = {}
    for cell in cells:
        text = _without_magics(cell)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue  # it did not run either
        here: dict[str, list[_Statement]] = {}
        for node in tree.body:
            for name in _bound(node):
                here.setdefault(name, []).append(_Statement(node, text))
        found.update(here)
    return found


def _without_magics(cell: str) -> str:
    """IPython's own lines (`%time …`, `!ls`) replaced by nothing; what follows `%time` on its line is kept."""
    return re.sub(r"^(\s*)(?:[!?].*|%{1,2}\w+[^\S\n]*(?:-\S+[^\S\n]*)*)", r"\1", cell, flags=re.MULTILINE)


def _bound(node: ast.stmt) -> set[str]:
    """The names that a statement binds at the top level of its cell, in whatever way."""
    table = symtable.symtable(ast.unparse(node), "<cell>", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}


def _uses(
    name: str, statements: dict[str, list[_Statement]], forbidden: tuple[str, ...]
) -> Iterator[tuple[str, str, int, str]]:
    """(name it is in, what is used, line of the cell, text of the line) for each forbidden use behind `name`."""
    objects = {name: _object(name) for name in forbidden if not name.startswith(".")}
    everywhere = {alias: path for entry in statements.values() for s in entry for alias, path in _imports(s.node)}
    todo, seen = [name], set()
    while todo:
        owner = todo.pop(0)
        for node, cell in statements.get(owner, []):
            if id(node) in seen or isinstance(node, ast.Import | ast.ImportFrom):
                continue
            seen.add(id(node))
            aliases = everywhere | {a: p for inner in ast.walk(node) for a, p in _imports(inner)}
            outside = _taken_from_outside(node)
            for inner in ast.walk(node):
                use = _forbidden(inner, aliases, forbidden, objects)
                if use:
                    yield owner, use, inner.lineno, cell.splitlines()[inner.lineno - 1].strip()
                if isinstance(inner, ast.Name) and inner.id in statements and inner.id in outside:
                    todo.append(inner.id)


def _taken_from_outside(node: ast.stmt) -> set[str]:
    """The names that a statement has from the notebook, not as arguments or variables of its own functions.

    The cells of a notebook share one namespace: a test's loop variable is nothing that a function uses which happens to
    have an argument of that name.
    """
    module = symtable.symtable(ast.unparse(node), "<cell>", "exec")
    found, tables = set(), [module]
    while tables:
        table = tables.pop()
        found |= {s.get_name() for s in table.get_symbols() if table is module or s.is_global()}
        tables += table.get_children()
    return found


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(name, what it stands for) of an import, and of an assignment such as `F = torch.nn.functional`."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
    elif isinstance(node, ast.ImportFrom) and node.module:
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module}.{alias.name}"
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
        path = ast.unparse(node.value)
        if re.fullmatch(r"[\w.]+", path):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id != path.partition(".")[0]:
                    yield target.id, path


def _forbidden(node: ast.AST, aliases: dict[str, str], forbidden: tuple[str, ...], objects: dict) -> str:
    """Which of the forbidden an expression is; "" if it is none."""
    if isinstance(node, ast.Attribute):
        if f".{node.attr}" in forbidden:
            return f".{node.attr}"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        names = {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
        return next((entry for entry in forbidden if entry.rpartition(".")[2] in names), "")
    elif not isinstance(node, ast.Name):
        return ""
    path = _path(node, aliases)
    if not path:
        return ""
    found = _object(path)
    for entry, value in objects.items():
        if path == entry or path.startswith(f"{entry}.") or (found is value and found is not _MISSING):
            return entry
    return ""


def _path(node: ast.expr, aliases: dict[str, str]) -> str:
    """The dotted name that an expression stands for once its imports are resolved; "" for anything else."""
    tail: list[str] = []
    while isinstance(node, ast.Attribute):
        tail.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return ""
    path, seen = aliases[node.id], {node.id}
    while (root := path.partition(".")[0]) in aliases and root not in seen:  # F = nn.functional, nn imported before
        seen.add(root)
        path = aliases[root] + path[len(root) :]
    return ".".join([path, *tail])


def _object(path: str) -> typing.Any:
    """What a dotted name of torch's stands for here, where one thing has several names; nothing is imported for it."""
    parts = path.split(".")
    if parts[0] != "torch":
        return _MISSING
    value: typing.Any = sys.modules.get("torch", _MISSING)
    for part in parts[1:]:
        value = getattr(value, part, _MISSING)
    return value
