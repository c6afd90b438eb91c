"""The versions of a lab's answers that an audit runs: those its author wrote, and those made mechanically."""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from autograder.audit.running import Task
from autograder.labs import Lab, Variant
from autograder.release import filled_cell, student_notebook

MUTANT_LIMIT = 10.0  # seconds of CPU time: a mutant that never ends was noticed


def model_answers(lab: Lab) -> dict[str, str]:
    """Each exercise's cell as a perfect student has it."""
    return {exercise: lab.solution(exercise).solution for exercise in lab.exercises}


def plan(lab: Lab, seeds: Sequence[str], *, thorough: bool) -> list[Task]:
    """The tasks for a lab, mutants aside."""
    model = model_answers(lab)
    everything = tuple(cell.grade_id for cell in lab.tests())
    first = seeds[0]
    tasks = [
        Task("model", f"seed {seed}", "", model, everything, ((seed, True), (seed, False)), limit=600.0)
        for seed in seeds
    ]
    notebook = student_notebook(lab)
    stub = {exercise: filled_cell(notebook, lab.solution(exercise).grade_id).source for exercise in lab.exercises}
    tasks.append(Task("stub", "untouched", "", stub, everything, ((first, True), (first, False))))
    runs = (*((seed, True) for seed in seeds), (first, False))
    for variant in (*lab.mistakes, *lab.alternatives):
        answers = {**model, variant.exercise: variant.source}
        tests = tuple(cell.grade_id for cell in lab.dependents(variant.exercise))
        tasks.append(Task(variant.kind, variant.name, variant.exercise, answers, tests, runs, variant.line))
        if thorough and set(tests) != set(everything):  # the others should not change: once is enough
            once = ((first, True),)
            tasks.append(Task(variant.kind, variant.name, variant.exercise, answers, everything, once, variant.line))
    for exercise in lab.exercises:
        own = tuple(cell.grade_id for cell in lab.tests(exercise))
        for name, source in vacuous(model[exercise]):
            tasks.append(
                Task("vacuous", name, exercise, {**model, exercise: source}, own, ((first, True),), limit=MUTANT_LIMIT)
            )
    return tasks


def vacuous(source: str) -> Iterator[tuple[str, str]]:
    """A solution cell whose functions return None, and one whose functions return their first argument."""
    for name, returned in (("returns None", _none), ("returns its first argument", _first_argument)):
        tree = _Hollow(returned).visit(ast.parse(source))
        yield name, ast.unparse(ast.fix_missing_locations(tree))


def _none(function: ast.FunctionDef) -> ast.expr:
    return ast.Constant(None)


def _first_argument(function: ast.FunctionDef) -> ast.expr:
    arguments = [*function.args.posonlyargs, *function.args.args]
    names = [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]
    return ast.Name(names[0], ast.Load()) if names else ast.Constant(None)


class _Hollow(ast.NodeTransformer):
    """Functions and methods return `returned(function)` at once; constructors stay; other values become None."""

    def __init__(self, returned: Callable[[ast.FunctionDef], ast.expr]):
        self.returned = returned

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if node.name != "__init__":
            node.body = [ast.Return(self.returned(node))]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:  # of the cell or of a class: functions are not entered
        node.value = ast.Constant(None)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        if node.value is not None:
            node.value = ast.Constant(None)
        return node


def mutants(lab: Lab, seed: str) -> list[Task]:
    """The solutions with one operator, constant, argument, function or statement changed, each run on its own tests."""
    model, tasks = model_answers(lab), []
    for exercise in lab.exercises:
        cell = lab.solution(exercise)
        own = tuple(test.grade_id for test in lab.tests(exercise))
        for change, line, source in mutated(cell.source):
            answers = {**model, exercise: source}
            at = cell.first_line + line - 1
            known = equivalent(lab, exercise, change, line)
            inputs = known.source if known else ""
            tasks.append(Task("mutant", change, exercise, answers, own, ((seed, False),), at, MUTANT_LIMIT, inputs))
    return tasks


def equivalent(lab: Lab, exercise: str, change: str, line: int) -> Variant | None:
    """The entry of `equivalents.py` that says of a mutant that it changes nothing. `line`: of the solution cell."""
    wanted = (exercise, change)
    return next((e for e in lab.equivalents if (e.exercise, e.name) == wanted and e.at in (0, line)), None)


_SWAPS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}

# functions and methods that are taken for one another
_TWINS = {
    one: other
    for pair in (
        ("mean", "sum"),
        ("max", "min"),
        ("amax", "amin"),
        ("argmax", "argmin"),
        ("var", "std"),
        ("maximum", "minimum"),
        ("zeros", "ones"),
        ("zeros_like", "ones_like"),
        ("floor", "ceil"),
        ("append", "extend"),
        ("any", "all"),
    )
    for one, other in (pair, pair[::-1])
}


def mutated(source: str) -> Iterator[tuple[str, int, str]]:
    """(what was changed, its line from 1, the changed source) for each change that can be made in a cell."""
    tree = ast.parse(source)
    count = sum(1 for _ in ast.walk(tree))
    for number in range(count):  # the same walk over a copy finds the same node
        for which in itertools.count():
            mutant = copy.deepcopy(tree)
            node = next(node for n, node in enumerate(ast.walk(mutant)) if n == number)
            before = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ""
            if not _mutate(node, which, mutant):
                break
            after = ast.unparse(ast.fix_missing_locations(node))
            yield f"{_short(before)} → {_short(after)}", node.lineno, ast.unparse(ast.fix_missing_locations(mutant))
        body = getattr(next(node for n, node in enumerate(ast.walk(tree)) if n == number), "body", [])
        for place, statement in enumerate(body if isinstance(body, list) else []):
            if _stands_alone(statement):
                mutant = copy.deepcopy(tree)
                owner = next(node for n, node in enumerate(ast.walk(mutant)) if n == number)
                owner.body[place] = ast.Pass()
                yield f"{_short(ast.unparse(statement))} → nothing", statement.lineno, ast.unparse(mutant)


def _mutate(node: Any, which: int, tree: ast.Module) -> bool:
    """Changes `node` in place, in its `which`-th way; False when there is no such way."""
    match node:
        case ast.BinOp() | ast.AugAssign() | ast.BoolOp() if which == 0 and type(node.op) in _SWAPS:
            node.op = _SWAPS[type(node.op)]()
        case ast.Compare(ops=[operator]) if which == 0 and type(operator) in _SWAPS:
            node.ops = [_SWAPS[type(operator)]()]
        case ast.Constant(value=bool(value)) if which == 0:
            node.value = not value
        case ast.Constant(value=int(value)) if type(value) is int:
            if which > 1:
                return False
            node.value = value + (1, -1)[which]
        case ast.Constant(value=float(value)) if which == 0:
            node.value = value * 2 if value else 1.0
        case ast.UnaryOp(op=ast.USub() | ast.Not()) if which == 0:
            node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
            if isinstance(node.op, ast.Not):
                node.operand = ast.UnaryOp(ast.Not(), node.operand)
        case ast.Call(func=ast.Attribute(attr=name) as function) if which == 0 and name in _TWINS:
            function.attr = _TWINS[name]
        case ast.Call(func=function) if which <= len(node.keywords):
            twin = isinstance(function, ast.Attribute) and function.attr in _TWINS
            place = which - twin
            if not 0 <= place < len(node.keywords) or node.keywords[place].arg is None:
                return False
            del node.keywords[place]
        case _:
            return False
    return not _in_signature(node, tree)


def _stands_alone(statement: ast.stmt) -> bool:
    """An update, or a call for its effect: without it the cell still runs."""
    called = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return called or isinstance(statement, ast.AugAssign)


def _in_signature(node: ast.AST, tree: ast.Module) -> bool:
    """Annotations and defaults say what a function takes; they are the author's, not the student's."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            parts = [function.args, *([function.returns] if function.returns else [])]
            if any(node is inner for part in parts for inner in ast.walk(part)):
                return True
    return False


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."
