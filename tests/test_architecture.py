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

# A layer is a module or a package of src/revisage with everything below it. A layer may import itself
# and what is named here. Programs may import everything that is not a program.
LIBRARY = {
    "types": set(),
    "errors": set(),
    "controls": {"types", "errors", "faces"},
    "allocator": set(),
    "device": {"errors"},
    "tensors": {"types"},
    "boxes": {"types"},
    "nets": set(),
    "faces": {"types", "errors", "tensors", "boxes"},
    "data": {"types", "errors", "tensors", "files"},
    "colour": {"types"},
    "files": {"types", "errors", "colour"},
    "upscale": {"types", "errors", "tensors", "faces"},
    "upscale_tiles": {"types", "errors", "tensors", "device", "upscale"},
    "moderate": {"types", "errors", "controls", "faces"},
    "pictures": {"types", "errors"},
    "verdicts": {"types", "errors", "tensors", "faces", "moderate"},
    "pipeline": {
        *("types", "errors", "colour", "tensors", "faces", "upscale", "device", "controls", "moderate"),
        *("pictures", "verdicts"),
    },
    "architectures": {"errors", "nets", "files"},
    "catalogue": {"files"},
    "weight_files": {"errors", "catalogue", "architectures", "files"},
    "companions": {
        *("types", "errors", "tensors", "device", "catalogue", "nets", "architectures", "moderate", "upscale_tiles"),
        "weight_files",
    },
    "zoo": {
        *("types", "errors", "device", "catalogue", "nets", "architectures", "faces", "moderate", "pipeline"),
        *("upscale", "weight_files", "companions"),
    },
    "metrics": {"types", "errors", "tensors", "boxes", "nets", "files"},
    "train": {"data", "nets", "metrics", "files", "tensors", "boxes", "types", "errors", "device", "allocator"},
    "__init__": {"types", "errors", "faces", "files", "pipeline", "zoo"},
}
PROGRAMS = {
    "batch": set(LIBRARY) - {"train", "data", "nets"},
    "evaluate": {"types", "errors", "tensors", "files", "metrics", "pipeline"},
    "prepare": {"types", "errors", "tensors", "faces", "data", "files", "batch"},
    "degrade": {"types", "errors", "tensors", "data", "files"},
    "doctor": set(LIBRARY) - {"train", "data", "nets"},
    "compat": set(LIBRARY) - {"train", "data", "nets", "metrics", "__init__"},
    "video": set(LIBRARY) - {"train", "data", "nets", "metrics"},
    "convert": {"errors", "files", "architectures"},
    "cli": {*LIBRARY, "batch", "evaluate", "prepare", "degrade", "convert", "doctor", "compat", "video"},
    "__main__": {"cli"},
}
RULES = LIBRARY | PROGRAMS
FILES = sorted(SOURCE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def layer_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


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


@pytest.mark.parametrize("path", sorted((SOURCE / "nets").rglob("*.py")), ids=module_of)
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
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=True)


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
    """Half a second of processor time, start of Python included: what a clock shows depends on who else is running."""

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_python(*command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds(*arguments) for _ in range(3)) < 0.5
