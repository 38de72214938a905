"""What does a Bicep file declare?

Read with the tree-sitter grammar of Bicep, since the compiler is not everywhere. Values are plain
Python where they are literal: objects are dicts, arrays lists, strings str; all else is an
`Expression`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter
import tree_sitter_bicep

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))


@dataclass(frozen=True)
class Expression:
    """What is only known at deployment, or not worth telling apart here."""

    text: str


@dataclass(frozen=True)
class Loop:
    """One value for each element of an array."""

    over: str
    body: "Value"


Value = dict[str, "Value"] | list["Value"] | str | int | bool | None | Expression | Loop


@dataclass(frozen=True)
class Parameter:
    """A `param`."""

    name: str
    type: str
    required: bool
    default: Value
    decorators: dict[str, Value]  # name → first argument
    line: int


@dataclass(frozen=True)
class Declaration:
    """A `var` or an `output`."""

    name: str
    value: Value
    text: str
    line: int


@dataclass(frozen=True)
class Resource:
    """A `resource`, nested ones included."""

    symbol: str
    path: str  # like dataStorage::queueService::batches
    type: str  # like Microsoft.Storage/storageAccounts/queueServices
    api_version: str
    existing: bool
    condition: str
    body: dict[str, Value]
    line: int


@dataclass(frozen=True)
class Module:
    """A `module`."""

    symbol: str
    source: str
    condition: str
    body: dict[str, Value]
    line: int


@dataclass(frozen=True)
class BicepFile:
    """One file, and the places where it could not be read."""

    path: Path
    parameters: dict[str, Parameter] = field(default_factory=dict)
    variables: dict[str, Declaration] = field(default_factory=dict)
    outputs: dict[str, Declaration] = field(default_factory=dict)
    types: set[str] = field(default_factory=set)
    resources: list[Resource] = field(default_factory=list)
    modules: list[Module] = field(default_factory=list)
    unread_lines: list[int] = field(default_factory=list)
    strings: list[tuple[str, int]] = field(default_factory=list)  # literal text, line
    names: list[tuple[str, int]] = field(default_factory=list)  # identifiers in use, line
    local_names: set[str] = field(default_factory=set)  # of loops and lambdas
    members: list[tuple[str, str, int]] = field(default_factory=list)  # object, property, line


def read(path: Path) -> BicepFile:
    """Read a Bicep file; what cannot be read is listed in `unread_lines`."""
    root = _PARSER.parse(path.read_bytes()).root_node
    file = BicepFile(path)
    _note_names(file, root)
    decorators: dict[str, Value] = {}
    for node in root.named_children:
        if node.type == "decorators":
            decorators = _decorators(node)
            continue
        _declare(file, node, decorators)
        decorators = {}
    return file


def _declare(file: BicepFile, node: tree_sitter.Node, decorators: dict[str, Value]) -> None:
    line = node.start_point.row + 1
    children = [child for child in node.named_children if child.type != "comment"]
    if node.type == "parameter_declaration":
        _declare_parameter(file, children, decorators, line)
    elif node.type in ("variable_declaration", "output_declaration"):
        kind = file.variables if node.type == "variable_declaration" else file.outputs
        name = _text(children[0])
        kind[name] = Declaration(name, value_of(children[-1]), _text(children[-1]), line)
    elif node.type == "type_declaration":
        file.types.add(_text(children[0]))
    elif node.type == "resource_declaration":
        file.resources.extend(_resources(node, parents=()))
    elif node.type == "module_declaration":
        condition, body = _conditional(children[-1])
        file.modules.append(
            Module(_text(children[0]), str(value_of(children[1])), condition, body, line)
        )


def _declare_parameter(
    file: BicepFile, children: list[tree_sitter.Node], decorators: dict[str, Value], line: int
) -> None:
    name, type_ = _text(children[0]), _text(children[1])
    has_default = len(children) > 2
    file.parameters[name] = Parameter(
        name=name,
        type=type_,
        required=not has_default and not type_.endswith("?"),
        default=value_of(children[2]) if has_default else None,
        decorators=decorators,
        line=line,
    )


def _resources(node: tree_sitter.Node, parents: tuple[Resource, ...]) -> Iterator[Resource]:
    children = [child for child in node.named_children if child.type != "comment"]
    condition, body = _conditional(children[-1])
    type_, _, version = str(value_of(children[1])).partition("@")
    resource = Resource(
        symbol=_text(children[0]),
        path="::".join([*(parent.symbol for parent in parents), _text(children[0])]),
        type=f"{parents[-1].type}/{type_}" if parents else type_,
        api_version=version or (parents[-1].api_version if parents else ""),
        existing=any(child.type == "existing" for child in node.children),
        condition=condition,
        body=body,
        line=node.start_point.row + 1,
    )
    yield resource
    for nested in _nested_declarations(children[-1]):
        yield from _resources(nested, (*parents, resource))


def _nested_declarations(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    for child in node.named_children:
        if child.type == "resource_declaration":
            yield child
        elif child.type in ("object", "object_property", "if_statement", "for_statement"):
            yield from _nested_declarations(child)


def _conditional(node: tree_sitter.Node) -> tuple[str, dict[str, Value]]:
    """Return the condition, or an empty text, and the body below it or below a loop."""
    condition = ""
    while node.type in ("if_statement", "for_statement"):
        if node.type == "if_statement":
            condition = _text(node.named_children[0])
        node = node.named_children[-1]
    body = value_of(node)
    return condition, body if isinstance(body, dict) else {}


def _decorators(node: tree_sitter.Node) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for decorator in node.named_children:
        call = decorator.named_children[0]
        arguments = call.named_children[-1].named_children
        found[_text(call.named_children[0])] = value_of(arguments[0]) if arguments else None
    return found


def value_of(node: tree_sitter.Node) -> Value:
    """Return what a node stands for."""
    if node.type == "object":
        return _object(node)
    if node.type == "array":
        return [value_of(child) for child in node.named_children if child.type != "comment"]
    if node.type == "for_statement":
        return Loop(_text(node.named_children[-2]), value_of(node.named_children[-1]))
    return _scalar(node)


def alternatives(expression: Expression) -> list[Value]:
    """Return the values that an expression chooses from (`? :`) or joins (`union`, `concat`)."""
    # In an array the grammar takes `union(…)` for two elements, of which this is the second.
    text = f"union{expression.text}" if expression.text.startswith("(") else expression.text
    root = _PARSER.parse(f"var it = {text}".encode()).root_node
    return list(_alternatives(root.named_children[0].named_children[-1]))


def _alternatives(node: tree_sitter.Node) -> Iterator[Value]:
    if node.type == "ternary_expression":
        children = node.named_children[1:]
    elif node.type == "call_expression" and _text(node.named_children[0]) in ("union", "concat"):
        children = node.named_children[-1].named_children
    else:
        yield value_of(node)
        return
    for child in children:
        yield from _alternatives(child)


def _scalar(node: tree_sitter.Node) -> str | int | bool | Expression | None:
    if node.type == "string" and all(c.type == "string_content" for c in node.named_children):
        return "".join(_text(child) for child in node.named_children)
    if node.type == "number":
        return int(_text(node))
    if node.type == "boolean":
        return _text(node) == "true"
    return None if node.type == "null" else Expression(_text(node))


def _object(node: tree_sitter.Node) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for member in node.named_children:
        children = [child for child in member.named_children if child.type != "comment"]
        if member.type == "object_property" and len(children) == 2:
            key = value_of(children[0])
            found[key if isinstance(key, str) else _text(children[0])] = value_of(children[1])
    return found


def _note_names(file: BicepFile, node: tree_sitter.Node) -> None:
    line = node.start_point.row + 1
    if node.type == "ERROR" or node.is_missing:
        file.unread_lines.append(line)
    elif node.type == "string_content":
        file.strings.append((_text(node), line))
    elif node.type in ("loop_variable", "loop_enumerator"):
        file.local_names.add(_text(node))
    elif node.type == "identifier" and not _names_a_property(node):
        file.names.append((_text(node), line))
    elif node.type == "member_expression" and node.named_children[0].type == "identifier":
        file.members.append((_text(node.named_children[0]), _text(node.named_children[-1]), line))
    if node.type in ("lambda_expression", "for_statement"):
        first = node.named_children[0]
        if first.type == "identifier":
            file.local_names.add(_text(first))
    for child in node.named_children:
        _note_names(file, child)


def _names_a_property(node: tree_sitter.Node) -> bool:
    """Tell whether an identifier is a key, or the symbol of a nested resource."""
    parent = node.parent
    if parent is None:
        return False
    if parent.type == "metadata_declaration":
        return True
    if parent.type == "object_property":
        return parent.named_children[0] == node
    return parent.type == "resource_expression" and parent.named_children[0] != node


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()
