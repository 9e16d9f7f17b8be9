"""Parameters of notebooks are data: declared names, declared types, plain values; nothing in them is ever run."""

from __future__ import annotations

import ast
import math
from typing import Any

from tne_eval.errors import ReportError, UnknownNameError

_SIMPLE = (str, int, float, bool)


def declared_parameters(notebook) -> dict[str, Any]:
    """Names and defaults declared by the one cell tagged `parameters`, read without running it."""
    cells = [cell for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    if len(cells) != 1:
        raise ReportError(f"the notebook has {len(cells)} cells tagged 'parameters'; it needs one")
    return _literals(cells[0]["source"])


def check_parameters(parameters: dict[str, Any], declared: dict[str, Any]) -> dict[str, Any]:
    """The parameters, each of them declared and of its declared type; otherwise an error, and nothing runs."""
    return {name: _checked(name, value, declared) for name, value in parameters.items()}


def _literals(source: str) -> dict[str, Any]:
    found = {}
    try:
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target, value = statement.targets[0], statement.value
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                target, value = statement.target, statement.value
            else:
                raise ValueError(ast.unparse(statement))
            if not isinstance(target, ast.Name):
                raise ValueError(ast.unparse(statement))
            found[target.id] = ast.literal_eval(value)
    except (ValueError, SyntaxError) as error:
        raise ReportError("the parameters cell holds more than literal assignments", why=str(error)[:200]) from error
    for name, value in found.items():
        if not _is_allowed(value):
            raise ReportError(f"parameter {name!r} is declared as {type(value).__name__}")
    return found


def _checked(name: object, value: Any, declared: dict[str, Any]) -> Any:
    if type(name) is not str or name not in declared:
        raise UnknownNameError("parameter", name, declared)
    default = declared[name]
    if type(default) is float and type(value) is int:
        value = float(value)
    same_items = type(default) is list and type(value) is list and default
    wrong_items = same_items and {type(item) for item in value} - {type(item) for item in default}
    if type(value) is not type(default) or not _is_allowed(value) or wrong_items:
        raise ReportError(
            f"parameter {name!r} cannot be {str(value)[:80]!r} ({type(value).__name__})",
            why=f"the notebook declares it as {type(default).__name__}, for example {default!r}",
        )
    return value


def _is_allowed(value: Any) -> bool:
    if type(value) is list:
        return all(type(item) in _SIMPLE and _is_allowed(item) for item in value)
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is str:
        return value.isprintable() or all(char.isprintable() or char in "\n\t" for char in value)
    return type(value) in (int, bool)


def check_injection(parameters: dict[str, Any]) -> None:
    """Make sure that what papermill will inject reads back as exactly these values, and is nothing else."""
    from papermill.translators import translate_parameters

    if parameters:
        source = translate_parameters("python3", "python", parameters, "Parameters")
        if (found := _literals(source)) != parameters:
            raise ReportError("parameters that papermill would change", why=f"{parameters!r} → {found!r}"[:300])
