"""The import rules of the house, read from the source: who may know whom, no cycles, nothing heavy too early."""

import ast
import resource
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import revisage

SOURCE = Path(revisage.__file__).parent

# A layer is a module or a package of src/revisage with everything below it, or a package below one of those where
# it is named here. A layer may import itself and what is named. Layers are listed lowest first.
LOW = {"types", "errors", "geometry", "boxes", "files"}
RULES = {
    "types": set(),
    "errors": set(),
    "geometry": {"errors"},
    "boxes": {"types"},
    "files": {"errors"},
    "images": {"types", "errors", "files"},
    "models.nets": set(),
    "models": {*LOW, "models.nets"},
    "models.backends": {*LOW, "models", "models.nets", "process"},
    "restore": {*LOW, "images", "models"},
    "auxiliary": {*LOW, "images", "models", "models.backends", "restore"},
    "loading": {*LOW, "models", "models.backends", "restore", "auxiliary"},
    "process": {"errors"},
    "tracking": {*LOW, "images", "restore"},
    "jobs": {*LOW, "images"},
    "evaluation": {*LOW, "images", "models", "models.nets", "jobs"},
    "training": {*LOW, "images", "models", "models.nets", "jobs", "evaluation"},
    "training.prepare": {*LOW, "images", "restore", "jobs", "training"},
    "__init__": {"types", "errors", "images", "restore", "loading", "process"},
}
LIBRARY = {*RULES} - {"training", "training.prepare", "models.nets"}
RULES |= {
    "batch": LIBRARY,
    "video": LIBRARY,
    "compat": LIBRARY,
    "comparison": LIBRARY,
    "doctor": LIBRARY,
    "bench": {*LIBRARY, "models.nets"},
    "serve": {*LIBRARY, "batch", "video"},  # jobs are runs of a folder
    "export": {*LIBRARY, "models.nets"},
    "scale": {*LIBRARY, "batch"},  # the steps of a run of a folder, on other machines
    "cli": {*RULES, "batch", "video", "compat", "comparison", "doctor", "export", "serve", "scale", "bench"},
    "__main__": {"cli"},
}
FILES = sorted(SOURCE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def layer_of(module: str) -> str:
    parts = module.split(".")[1:]
    inner = ".".join(parts[:2])
    return inner if inner in RULES else parts[0] if parts else "__init__"


MODULES = {module_of(path): path for path in FILES}


@cache
def imports_of(path: Path) -> list[str]:
    """Full names of the modules that a file imports anywhere, functions and type checking included."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert all(alias.name != "*" for alias in node.names), f"{path} imports a star"
            # `from package import module` imports the module, `from module import name` its module.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.append(full if full in MODULES else str(node.module))
    return found


def own_imports(path: Path) -> set[str]:
    return {name for name in imports_of(path) if name.split(".")[0] == "revisage"}


def top_level_imports(path: Path) -> set[str]:
    """What is imported as soon as the file is: outside functions, and not for type checking."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    found = set()
    for node in body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= names or {str(node.module)}
    return found


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_layer_imports_only_what_it_may(path):
    layer = layer_of(module_of(path))
    assert layer in RULES, f"{layer} is new: say in this table what it may import"
    foreign = {name for name in own_imports(path) if layer_of(name) not in {layer, *RULES[layer]}}
    assert not foreign


@pytest.mark.parametrize("path", sorted((SOURCE / "models" / "nets").rglob("*.py")), ids=module_of)
def test_networks_know_torch_only(path):
    allowed = {"torch", "revisage", *sys.stdlib_module_names}
    assert {name.split(".")[0] for name in imports_of(path)} <= allowed


def test_no_import_cycles():
    graph = {module: own_imports(path) - {module, "revisage"} for module, path in MODULES.items()}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_the_table_names_no_layer_that_is_gone():
    layers = {layer_of(module) for module in MODULES}
    assert set(RULES) <= layers


def test_the_command_line_imports_lazily():
    heavy = {"torch", "numpy", "cv2", "PIL", "rich"}
    reached, waiting = set(), {"revisage.__init__", "revisage.cli", "revisage.errors"}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        if module in MODULES:
            waiting |= top_level_imports(MODULES[module]) - reached
    assert not {name.split(".")[0] for name in reached} & heavy


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=600, check=True)


@pytest.mark.parametrize("module", ["revisage", "revisage.cli"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print({{'torch', 'numpy', 'cv2', 'PIL'}} & set(sys.modules))"
    assert run_python("-c", code).stdout.strip() == "set()"


@pytest.mark.parametrize(
    "arguments",
    [("-c", "import revisage"), ("-m", "revisage", "--help"), ("-m", "revisage", "restore", "--help")],
    ids=" ".join,
)
def test_start_is_quick(arguments):
    """In units of what the libraries take: seconds depend on the machine, and on who else is running."""

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_python(*command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    turns = [(seconds(*arguments), seconds("-c", "import cv2, numpy, onnxruntime, PIL.Image")) for _ in range(4)]
    assert min(ours for ours, _ in turns) < 2 * min(libraries for _, libraries in turns)
