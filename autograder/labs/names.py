"""Which names a cell defines and which it takes from elsewhere, by Python's own symbol table."""

import ast
import builtins
import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

# what any module or kernel has without a cell defining it
PROVIDED = frozenset(dir(builtins)) | {"__name__", "__doc__", "__file__"}


@dataclass(frozen=True)
class Names:
    """The global names of one cell: `defined` at its top level, and `used` anywhere in it (which may be the same)."""

    defined: frozenset[str]
    used: frozenset[str]


@cache  # an audit asks for the same cells thousands of times
def names_of(source: str) -> Names:
    """Names of a cell. A function's own variables count as neither; a global that it writes counts as defined."""
    module = symtable.symtable(source, "<cell>", "exec")
    defined, used = set(), set()
    for table in _tables(module):
        for symbol in table.get_symbols():
            is_global = table is module or symbol.is_global()
            if is_global and (symbol.is_assigned() or symbol.is_imported()):
                defined.add(symbol.get_name())
            if is_global and symbol.is_referenced():
                used.add(symbol.get_name())
    return Names(frozenset(defined), frozenset(used))


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def attributes_of(source: str, name: str) -> list[tuple[str | None, int]]:
    """Each use of `name` in a cell: the attribute taken from it (None where it is used whole) and the line, from 1."""
    tree = ast.parse(source)
    owner = {id(node.value): node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return sorted(
        (
            (owner.get(id(node)), node.lineno)
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        ),
        key=lambda use: use[1],
    )
