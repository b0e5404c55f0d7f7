"""Finds the imports of a source text, wherever they are."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from voicecore_tests.code_rules.packages import GUARDED_STANDARD_LIBRARY, TEST_LIBRARIES, Package, package_name

_OURS = "voicecore"


def forbidden_imports(path: Path, source: str, packages: Mapping[str, Package]) -> list[str]:
    """Return a line for each import that the table does not allow, given a path below ``voicecore/``."""
    name = package_name(path)
    if name not in packages:
        return [f"{path}: the package {name} is not in the table of packages"]
    tree = ast.parse(source)
    wrong = [module for module in imported(tree) if not _allowed(module, packages[name])]
    return [f"{path}: {name} (level {packages[name].level}) may not import {module}" for module in wrong]


def imported(tree: ast.AST) -> Iterable[str]:
    """Yield the dotted names that a module imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module in {_OURS, "urllib"}:  # each name may be a module of its own
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def _allowed(module: str, package: Package) -> bool:
    top, _, below = module.partition(".")
    if top == _OURS:
        target = below.partition(".")[0]
        return target == package.name or target in package.packages
    if module in GUARDED_STANDARD_LIBRARY or top in GUARDED_STANDARD_LIBRARY:
        return top in package.libraries
    if top in sys.stdlib_module_names:
        return True
    return top in package.libraries and top not in TEST_LIBRARIES
