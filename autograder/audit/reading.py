"""What can be said of a lab's tests without running them."""

from __future__ import annotations

import ast

from autograder.audit.findings import Finding
from autograder.labs import Cell, Lab


def read(lab: Lab) -> list[Finding]:
    """Checks without a hint, bare asserts, exercises without hidden tests, mistakes or alternatives."""
    findings = []
    for cell in lab.tests():
        findings += [Finding.at(lab, cell.first_line + line - 1, message) for line, message in _unhelpful(cell)]
    for exercise in lab.exercises:
        line = lab.solution(exercise).line
        if not any(cell.hidden_lines for cell in lab.tests(exercise)):
            message = f"{exercise}: no hidden tests; the numbers of the visible ones can be copied into an answer"
            findings.append(Finding.at(lab, line, message))
        for kind, variants in (("mistake", lab.mistakes), ("alternative", lab.alternatives)):
            if not any(variant.exercise == exercise for variant in variants):
                findings.append(Finding.at(lab, line, f"{exercise}: no {kind} is tried", severity="note"))
    return findings


def _unhelpful(cell: Cell) -> list[tuple[int, str]]:
    """Line of the cell, from 1, and what is wrong there."""
    found = []
    for node in ast.walk(ast.parse(cell.source)):
        if isinstance(node, ast.Assert):
            found.append((node.lineno, "a bare assert; take a check of `checks`, with a hint"))
        if isinstance(node, ast.Call) and _is_check(node.func):
            hint = next((keyword.value for keyword in node.keywords if keyword.arg == "hint"), None)
            if hint is None or (isinstance(hint, ast.Constant) and not str(hint.value or "").strip()):
                found.append((node.lineno, f"{ast.unparse(node.func)} without a hint"))
    return sorted(found)


def _is_check(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name.startswith("assert_")
