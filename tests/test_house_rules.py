"""The rules of the house, checked on the syntax tree of every module."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "astrolab"
MODULES = sorted(PACKAGE.rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# What each room imports directly, by the one direction of flow; it may import what these import, too.
FLOW = {
    "errors": (),
    "parameters": ("errors",),
    "datasets": ("parameters",),
    "models": ("datasets",),
    "predictions": ("errors",),
    "metrics": ("predictions",),
    "trainers": ("models", "predictions"),
    "runs": ("trainers", "metrics"),
    "exploring": ("runs",),
    "landscapes": ("trainers",),
    "plots": ("exploring", "landscapes"),
    "widgets": ("plots",),
    "studies": ("runs",),
    "gallery": ("studies",),
    "cli": ("gallery",),
}
GROUND_FLOOR = {"errors", "files", "progress", "tasks"}


def may_import(room: str) -> set[str]:
    return {room}.union(*map(may_import, FLOW[room]))


def room_of(name: str) -> str:
    part = name.split(".")[0]
    part = {"settings": "parameters"}.get(part, part)
    return "errors" if part in GROUND_FLOOR else part


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def code_lines(node: ast.FunctionDef) -> int:
    docstring = ast.get_docstring(node, clean=False)
    return node.end_lineno - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


def module_code_lines(tree: ast.Module, *, source: str) -> int:
    """Lines that are neither blank, nor a comment, nor part of a docstring."""
    documented = (ast.Module, ast.ClassDef, *FUNCTIONS)
    docstrings = [ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)]
    written = [line for line in source.splitlines() if line.strip() and not line.strip().startswith("#")]
    inside = (line for text in docstrings if text for line in text.splitlines())
    return len(written) - sum(1 for line in inside if line.strip() and not line.strip().startswith("#"))


def public_functions(tree: ast.Module):
    """Module-level functions and methods of module-level classes that are part of the public face."""
    for node in tree.body:
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_"):
            yield node, 1
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, FUNCTIONS) and not method.name.startswith("_"):
                    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in method.decorator_list)
                    yield method, 1 if static else 2


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_keeps_the_rules(path):
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    broken = []
    if module_code_lines(tree, source=source) > 400:
        broken.append(f"{module_code_lines(tree, source=source)} lines of code (at most 400)")
    if not ast.get_docstring(tree):
        broken.append("no module docstring")
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS) and code_lines(node) > 50:
            broken.append(f"{node.name}: {code_lines(node)} lines of code (at most 50)")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            broken.append(f"line {node.lineno}: print")
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            broken.append(f"line {node.lineno}: import *")
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in BROAD):
            broken.append(f"line {node.lineno}: broad except")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ABSOLUTE.match(node.value):
            broken.append(f"line {node.lineno}: absolute path {node.value!r}")
    assert not broken, "\n".join(broken)


BROAD = {"Exception", "BaseException"}
ABSOLUTE = re.compile(r"^(/(home|data|mnt|scratch|usr|opt|tmp|var)\b|[A-Z]:\\)")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_public_functions_are_annotated_and_documented(path):
    framework = {"forward", "main", "reconstruct"}  # signatures that torch, typer and objectives dictate
    broken = []
    for node, n_positional in public_functions(tree_of(path)):
        arguments = node.args.posonlyargs + node.args.args
        if not ast.get_docstring(node):
            broken.append(f"{node.name}: no docstring")
        if node.returns is None:
            broken.append(f"{node.name}: no return annotation")
        missing = [
            a.arg for a in arguments + node.args.kwonlyargs if a.annotation is None and a.arg not in ("self", "cls")
        ]
        if missing:
            broken.append(f"{node.name}: no annotation for {missing}")
        if len(arguments) > n_positional and node.name not in framework and not path.name.startswith("cli"):
            broken.append(f"{node.name}: arguments after the first must be keyword-only")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.parent != PACKAGE or path.stem != "__init__"], ids=module_name
)
def test_imports_follow_the_flow(path):
    room = room_of(module_name(path))
    assert room in FLOW, f"{room} is no room: give it a place in the flow, or its code to a room that has one"
    tree = tree_of(path)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    imported = {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("astrolab.")
        and id(node) not in typing_only
    }
    rooms = {room_of(name.removeprefix("astrolab.")) for name in imported}
    assert rooms <= may_import(room), f"{room} imports {sorted(rooms - may_import(room))}"


def test_tests_mirror_rooms():
    """A folder of tests is a room of the package: a folder of it, or one of its modules."""
    rooms = {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in MODULES}
    rooms |= {room.rpartition(".__init__")[0] for room in rooms}
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    strangers = {folder.as_posix() for folder in folders if folder.parts} - {room.replace(".", "/") for room in rooms}
    assert strangers <= {"browser", "notebooks"}, f"tests of no room: {sorted(strangers)}"


def test_no_module_is_a_junk_drawer():
    banned = {"utils", "util", "helper", "helpers", "common", "misc", "manager", "process", "v2"}
    assert not [path for path in MODULES if banned & set(path.stem.split("_"))]


def test_importing_astrolab_is_light():
    import subprocess
    import sys

    heavy = ("torch", "matplotlib", "pandas", "papermill", "pydantic")
    code = f"import sys, astrolab; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_resolves():
    import astrolab

    for name in astrolab.__all__:
        assert getattr(astrolab, name) is not None


def test_the_core_imports_without_the_notebook_stack():
    import subprocess
    import sys

    block = (
        "import sys; sys.modules.update({m: None for m in ('papermill','nbconvert','nbformat','IPython','ipywidgets')})"
    )
    code = f"{block}; import astrolab; [getattr(astrolab, n) for n in astrolab.__all__]"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
