"""The rules of the house, read off the source: who imports whom, and where SQL and Streamlit may be named."""

import ast
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from core import errors
from core.errors import ThawError

ROOT = Path(__file__).parents[1]
FLOORS = [
    (
        "core.messages",
        "core.errors",
        "core.figures",
        "core.events",
        "core.recipe_fields",
        "core.optimizers",
        "core.recipe",
        "core.recipe_settings",
        "core.settings",
        "core.files",
    ),
    ("core.home",),
    ("core.data", "core.backbones"),
    ("core.presets",),
    ("core.intake",),
    ("core.training",),
    ("core.results",),
    ("core.tracking",),
    ("core.jobs",),
    ("core.cli", "core.__main__", "dashboard"),
]
"""A module may import from its own floor and from those above it in this list."""

PAGES = ("dashboard.train", "dashboard.pictures", "dashboard.runs", "dashboard.compare")

SOURCES = sorted(path for room in ("core", "dashboard") for path in (ROOT / room).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function; `from a import b` counts as a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def is_within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def floor_of(module: str) -> int | None:
    return next((floor for floor, rooms in enumerate(FLOORS) if any(is_within(module, room) for room in rooms)), None)


@pytest.mark.parametrize("path", SOURCES, ids=map(module_of, SOURCES))
def test_imports_point_one_way(path: Path) -> None:
    here = floor_of(module_of(path))
    if here is None:
        assert path.name == "__init__.py", f"{path} stands on no floor"
        here = 0
    higher = {name for name in imports_of(path) if (floor := floor_of(name)) is not None and floor > here}
    assert not higher


def test_there_are_no_circles() -> None:
    known = {module_of(path): path for path in SOURCES}
    graph = {name: imports_of(path) & known.keys() - {name} for name, path in known.items()}
    while leaves := {name for name, needed in graph.items() if not needed}:
        graph = {name: needed - leaves for name, needed in graph.items() if name not in leaves}
    assert not graph


@pytest.mark.parametrize("path", SOURCES, ids=map(module_of, SOURCES))
def test_rooms_keep_to_themselves(path: Path) -> None:
    module, imported = module_of(path), imports_of(path)
    tops = {name.split(".")[0] for name in imported}
    if is_within(module, "core"):
        assert not tops & {"streamlit", "dashboard"}
    if is_within(module, "dashboard"):
        assert not tops & {"torch", "torchvision", "safetensors"}
    page = next((page for page in PAGES if is_within(module, page)), None)
    if page:
        assert not {name for name in imported for other in PAGES if other != page and is_within(name, other)}
    if not (is_within(module, "core.jobs.store") or is_within(module, "core.jobs.migrations")):
        assert not tops & {"sqlite3", "sqlalchemy"}


def test_the_dashboard_has_no_torch_within_reach() -> None:
    """In a process of its own: what is imported stays imported, and other tests do import torch."""
    pages = [module_of(path) for path in SOURCES if is_within(module_of(path), "dashboard") and path.name != "page.py"]
    names = [name for name in pages if name != "dashboard.app"]
    code = f"import importlib, sys\nfor n in {names!r}: importlib.import_module(n)\nprint('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


@pytest.mark.parametrize(("room", "most_files"), [("core", 91), ("dashboard", 50)])
def test_rooms_have_few_files_of_a_good_size(room: str, most_files: int) -> None:
    sizes = [len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES if path.is_relative_to(ROOT / room)]
    with_content = [lines for lines in sizes if lines]
    assert len(with_content) <= most_files
    assert median(with_content) >= 95
    assert max(with_content) <= 320


@pytest.mark.parametrize("path", SOURCES, ids=map(module_of, SOURCES))
def test_only_the_settings_read_the_environment(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    asked = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")]
    assert not asked or module_of(path) == "core.settings"


SPOKEN = {"Message", "Notice", "Progress", "Skipped"}
SPOKEN |= {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ThawError)}
"""What is made from a template."""


@pytest.mark.parametrize("path", SOURCES, ids=map(module_of, SOURCES))
def test_templates_do_not_hold_values(path: Path) -> None:
    """A sentence whose values are already in its template cannot be translated."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    filled = {node for node in nodes if isinstance(node, ast.JoinedStr)}
    named = {ast.unparse(node.targets[0]) for node in nodes if isinstance(node, ast.Assign) and node.value in filled}
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        if ast.unparse(call.func).rpartition(".")[2] in SPOKEN:
            parts = [part for template in call.args[:2] for part in ast.walk(template)]
            assert not [ast.unparse(part) for part in parts if part in filled or ast.unparse(part) in named]
