"""A rule being edited: read from the builder's form fields, changed by its buttons, printed back as rows.

Form names mirror the tree: 'r' is the outer group, 'r-0' its first node, 'r-0-1' the second node of that; a group has
'<node>-op', a condition '<node>-field', '<node>-operator' and '<node>-value' (behaviours: -times, -days, -what).
A draft may be wrong or half finished; `data()` is what tree.parse then judges.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from customers.segmentation import fields
from customers.segmentation.operators import BY_KIND, LONGEST_DAYS, Operator
from customers.segmentation.tree import GREATEST_DEPTH, MOST_RULES

_NODE = re.compile(r"^(r(?:-\d{1,2}){1,3})-(op|field)$")
_NAME = re.compile(r"r(?:-\d{1,2}){0,3}")
FIRST_FIELD = "orders_count"


@dataclass(slots=True)
class Condition:
    """One row of the builder. value: text, list of texts, or the three parts of a window, as typed."""

    field: str = FIRST_FIELD
    operator: str = "at_least"
    value: Any = "1"


@dataclass(slots=True)
class Branch:
    op: str = "all"
    nodes: list["Condition | Branch"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RowView:
    """A condition as the template prints it. error: what is wrong with it, in words."""

    name: str
    field: fields.Field
    operator: Operator
    operators: tuple[Operator, ...]
    value: Any
    choices: tuple[tuple[str, str], ...]
    error: str


@dataclass(frozen=True, slots=True)
class BranchView:
    name: str
    op: str
    rows: tuple["RowView | BranchView", ...]
    depth: int
    error: str

    @property
    def is_branch(self) -> bool:
        return True

    @property
    def may_nest(self) -> bool:
        return self.depth < GREATEST_DEPTH

    @property
    def is_root(self) -> bool:
        return self.depth == 1


def read(form: Any) -> Branch:
    """Return the draft in a posted form (a QueryDict). Nodes keep their order; gaps in the numbering close."""
    kinds: dict[str, str] = {}
    for name in form:
        if (match := _NODE.match(name)) and len(kinds) < MOST_RULES * 2:
            kinds.setdefault(match[1], match[2])
    root = Branch(op=_join(form.get("r-op")))
    made: dict[str, Branch] = {"r": root}
    for node in sorted(kinds, key=lambda name: [int(part) for part in name.split("-")[1:]]):
        parent = made.get(node.rpartition("-")[0])
        if parent is None:
            continue
        if kinds[node] == "op":
            made[node] = branch = Branch(op=_join(form.get(f"{node}-op")))
            parent.nodes.append(branch)
        else:
            parent.nodes.append(_condition(form, node))
    return root


def of(data: Mapping[str, Any]) -> Branch:
    """Return the draft of a stored rule."""
    branch = Branch(op=str(data.get("op", "all")))
    for node in data.get("rules", []):
        if "op" in node:
            branch.nodes.append(of(node))
        else:
            branch.nodes.append(Condition(node["field"], node["operator"], node["value"]))
    return branch


def act(root: Branch, action: str) -> Branch:
    """Carry out a button: 'add-rule:r-0', 'add-group:r', 'remove:r-0-1'. Unknown actions change nothing."""
    verb, _colon, name = action.partition(":")
    if not _NAME.fullmatch(name):
        return root
    steps = [int(part) for part in name.split("-")[1:]]
    if verb == "remove" and steps:
        parent = _walk(root, steps[:-1])
        if parent is not None and steps[-1] < len(parent.nodes):
            del parent.nodes[steps[-1]]
        return root
    parent = _walk(root, steps)
    if parent is not None and verb == "add-rule" and len(parent.nodes) < MOST_RULES:
        parent.nodes.append(Condition())
    if parent is not None and verb == "add-group" and len(steps) + 1 < GREATEST_DEPTH:
        parent.nodes.append(Branch(op="any", nodes=[Condition()]))
    return root


def data(root: Branch) -> dict[str, Any]:
    """Return the draft as rule data for tree.parse, texts turned into the types their operators take."""
    rules = [data(node) if isinstance(node, Branch) else {"field": node.field, "operator": node.operator, "value": _typed(node)} for node in root.nodes]
    return {"op": root.op, "rules": rules}


def view(root: Branch, *, error_node: str = "", error: str = "") -> BranchView:
    """Return what the template prints. error_node: a RuleInvalid's node; its row shows the error."""
    return _view(root, "r", 1, _form_name(error_node) if error else "", error, {})


def _view(branch: Branch, name: str, depth: int, wrong: str, error: str, known: dict[str, tuple[tuple[str, str], ...]]) -> BranchView:
    rows: list[RowView | BranchView] = []
    for index, node in enumerate(branch.nodes):
        path = f"{name}-{index}"
        if isinstance(node, Branch):
            rows.append(_view(node, path, depth + 1, wrong, error, known))
            continue
        chosen = fields.find(node.field) or fields.find(FIRST_FIELD)
        assert chosen is not None  # noqa: S101 - FIRST_FIELD is built in
        operators = BY_KIND[chosen.kind]
        operator = operators.get(node.operator) or next(iter(operators.values()))
        if chosen.name not in known:
            known[chosen.name] = tuple((str(code), str(label)) for code, label in chosen.choices()) if chosen.choices else ()
        rows.append(
            RowView(path, chosen, operator, tuple(operators.values()), _shown(operator, node.value), known[chosen.name], error if path == wrong else "")
        )
    return BranchView(name, branch.op, tuple(rows), depth, error if name == wrong else "")


def _form_name(node: str) -> str:
    """Return 'r-0-1' for 'rules[0].rules[1].value'."""
    return "-".join(["r", *re.findall(r"rules\[(\d+)\]", node)])


def _walk(root: Branch, steps: list[int]) -> Branch | None:
    branch = root
    for step in steps:
        if step >= len(branch.nodes) or not isinstance(branch.nodes[step], Branch):
            return None
        branch = branch.nodes[step]  # type: ignore[assignment]
    return branch


def _join(value: object) -> str:
    return "any" if value == "any" else "all"


def _condition(form: Any, node: str) -> Condition:
    """Return one posted condition; after a change of field or operator only values that still make sense are kept."""
    name, operator_name = str(form.get(f"{node}-field", "")), str(form.get(f"{node}-operator", ""))
    chosen = fields.find(name)
    if chosen is None:
        return Condition(name, operator_name, form.get(f"{node}-value", ""))
    operators = BY_KIND[chosen.kind]
    operator = operators.get(operator_name) or next(iter(operators.values()))
    if operator.takes == "window":
        value: Any = {part: str(form.get(f"{node}-{part}", default)) for part, default in (("times", "1"), ("days", "90"), ("what", ""))}
    elif operator.takes == "choices":
        value = [text for each in form.getlist(f"{node}-value") for text in str(each).split(",") if text.strip()]
    else:
        value = str(form.get(f"{node}-value", ""))
    # Another field was picked in this row: the old value meant something else.
    if form.get(f"{node}-was", name) != name:
        value = _first_value(chosen, operator)
    return Condition(name, operator.name, value)


def _first_value(chosen: fields.Field, operator: Operator) -> Any:
    if operator.takes == "window":
        return {"times": "1", "days": "90", "what": ""}
    if operator.takes in {"choice", "choices"}:
        first = str(chosen.choices()[0][0]) if chosen.choices and chosen.choices() else ""
        return first if operator.takes == "choice" else [first] if first else []
    return {"number": "1", "days": "30", "boolean": "true"}.get(operator.takes, "")


def _typed(node: Condition) -> Any:
    chosen = fields.find(node.field)
    operator = BY_KIND[chosen.kind].get(node.operator) if chosen else None
    if operator is None:
        return node.value
    value = node.value
    if operator.takes == "nothing":
        return None
    if operator.takes == "window":
        parts = value if isinstance(value, dict) else {}
        return {
            "times": _integer(parts.get("times")),
            "days": _integer(parts.get("days")) if parts.get("days") not in (None, "") else None,
            "what": parts.get("what") or None,
        }
    if operator.takes == "days":
        return _integer(value)
    if operator.takes == "number":
        return _number(value)
    if operator.takes == "boolean":
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value), value)
    if operator.takes == "choices":
        return [str(each).strip() for each in value] if isinstance(value, list) else [str(value)] if value else []
    return value


def _shown(operator: Operator, value: Any) -> Any:
    if operator.takes == "window":
        parts = value if isinstance(value, dict) else {}
        return {"times": parts.get("times", 1), "days": "" if parts.get("days") is None else parts.get("days"), "what": parts.get("what") or ""}
    if operator.takes == "choices":
        return [str(each) for each in value] if isinstance(value, list) else []
    if operator.takes == "boolean":
        return "false" if value in (False, "false") else "true"
    return "" if value is None or isinstance(value, list | dict) else str(value)


def _integer(text: object) -> Any:
    try:
        return int(str(text))
    except ValueError:
        return text if isinstance(text, str) and len(text) <= len(str(LONGEST_DAYS)) * 20 else None


def _number(text: object) -> Any:
    plain = str(text).replace(",", "").strip()
    try:
        return int(plain)
    except ValueError:
        try:
            return float(plain)
        except ValueError:
            return text
