"""Holds the rules of docs/design.md. A failure names file, line and rule; exceptions stand in lists here, with reasons."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import nasmith

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "nasmith"

# A module imports only from lines above its own, and from its own folder.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("design_limits",),
    ("types", "errors", "files", "redaction", "seeding", "space"),
    ("array_files",),
    ("events", "problems", "protocols", "source", "yaml_files"),
    ("population", "bandit", "frames", "halving", "handing_out", "stopping", "telling", "valuing"),
    ("canonical", "replies"),
    ("lms", "tasks", "strategies", "executors", "storage"),  # implementations; the folders never import each other
    ("analysis", "choosing", "comparison", "repairing", "interrupts", "lane", "history", "spending", "trials", "propose"),
    ("against_seed", "costs", "dispatch", "own_task", "receipts", "verify"),
    ("proposals",),
    ("roster",),
    ("loop",),
    ("registry",),
    ("matching",),
    ("config", "extraction", "modelcard", "testing"),
    ("export", "scaffold"),
    ("report", "integrations"),
    ("result",),  # draws and writes reports, and is what `api` returns
    ("api",),
    ("arms", "checkup", "fleet", "own_loop"),
    ("chat_playing", "comparing", "function_table"),
    ("nasmith",),  # the package's own names
    ("cli",),
)
IMPLEMENTATIONS = set(LAYERS[6])
MAY_NAME_IMPLEMENTATIONS = {
    "chat_playing": "plays what the record of one task holds, in memory",
    "api": "opens the storage that a path or URL names",
    "checkup": "asks the sandbox which files candidates may read",
    "function_table": "trains and tests functions of one task, outside of a search",
    "fleet": "makes runs in memory, whatever storage takes them",
    "own_loop": "keeps a run in memory where no storage is named",
    "testing": "ships contract tests and fakes",
    "cli": "doctor asks the embedded model's files about themselves; --help says where runs are kept",
}

NO_TESTS = {
    "types": "records without behaviour; storage and loop tests use all of them",
    "protocols": "declarations; contract tests hold the implementations to them",
    "events": "records without behaviour; the loop's tests check their order",
    "tasks/foreign/evaluating": "test_openevolve and test_shinka run all of it in the sandbox",
    "tasks/foreign/evaluator_workload": "test_openevolve runs all of it in the sandbox",
    "tasks/foreign/foreign_task": "test_openevolve and test_shinka are about the two tasks that it is",
    "tasks/foreign/script_workload": "test_shinka runs all of it in the sandbox",
    "tasks/folder/plan": "records without behaviour",
    "tasks/folder/workload": "test_folder_workload has its tests: no two test files can have one name",
}
NO_SOURCE = {
    "test_architecture": "is about all of them",
    "test_examples": "runs examples/",
    "test_attacks": "runs programs that try to do harm, in every sandbox and in none",
    "test_forgeries": "runs a search among programs that lie about themselves",
    "test_hostile_candidates": "runs the command with candidates that crash, hang and grow",
    "test_readme": "runs what README.md shows",
    "test_tutorials": "runs docs/tutorials",
    "test_benchmarks": "runs benchmarks/",
    "test_faults": "breaks the database, the disk and the clock under whole runs",
    "test_misbehaving_servers": "runs searches against a server that fails in every way",
    "test_search_for_functions": "searches, verifies and exports, with trainings of CLRS",
    "test_search_for_images": "searches, kills, resumes and exports by the command line, with trainings on images",
    "test_kills": "kills the processes of whole runs",
    "test_objectives": "runs whole searches on tasks with other objectives",
    "test_secrets": "looks for planted secrets in all that a run leaves",
    "test_folder_workload": "is about tasks/folder/workload",
}
LONG_FILES = {"types.py": "the records, all in one place: most lines are their docstrings"}
LONG_FUNCTIONS: dict[str, str] = {}
LARGE_CLASSES = {
    "protocols.py:Storage": "one method in and one out for each kind of record: that is the seam",
    "storage/sql.py:Sql": "implements Storage, which has 17",
    "storage/memory.py:Memory": "implements Storage, which has 17",
    "tasks/foreign/foreign_task.py:ForeignTask": "implements Task with most of its optional attributes",
    "tasks/folder/folder.py:Folder": "implements Task with most of its optional attributes",
    "tasks/imagenet/imagenet_task.py:ImageNetMobile": "implements Task with most of its optional attributes",
}
GLOBAL_RANDOMNESS = {
    "tasks/imagenet/trainer.py": "dropout and Kornia draw from no other, in a process that does nothing but one training",
}
BROAD_EXCEPT = {
    "tasks/imagenet/image_sources.py": "whatever a hub's package raises (network, name, permission) is told to the user",
    "lane.py": "hands what a thread raised to whoever holds the future, as concurrent.futures does",
    "executors/attempt.py": "the boundary: whatever a candidate's code raises is its result",
    "executors/child.py": "the boundary of the candidate's process, where nobody presses Ctrl-C",
    "executors/supervisor.py": "the boundary of the candidate's process before its own code: our failure is told as ours",
    "executors/processes.py": "a thread's boundary: whoever holds the future must hear of our bugs",
    "tasks/foreign/evaluating.py": "whatever an evaluator raises is told in words, from the process that it runs in",
    "tasks/foreign/stand_ins.py": "what a program raises is written down as its evaluation, as the original does",
    "tasks/folder/user_code.py": "whatever a user's own function raises is told to the user",
    "tasks/clrs/part_functions.py": "whatever a candidate's code raises while it is built or traced is its reason",
    "extraction.py": "whatever a user's own module raises when it is imported is told to the user",
    "scaffold/looking.py": "whatever a user's own loader raises is told to the user",
    "executors/zygote.py": "a process's boundary: its failure is reported to the process that started it",
}

MAX_METHODS, MAX_FUNCTION_LINES, MAX_FILE_LINES, MAX_EXAMPLE_LINES = 15, 60, 400, 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
NUMPY_GENERATORS = {"default_rng", "Generator", "SeedSequence", "PCG64", "BitGenerator"}
TORCH_SEEDS = {
    "torch.manual_seed",
    "torch.seed",
    "torch.random.manual_seed",
    "torch.cuda.manual_seed",
    "torch.cuda.manual_seed_all",
}


def _modules() -> list[Path]:
    return sorted(p for p in SRC.rglob("*.py") if not {"seeds", "migrations", "templates"} & set(p.parts))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _at(path: Path, node: ast.AST | None = None) -> str:
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    return f"{shown}:{getattr(node, 'lineno', 1)}"


def _key(path: Path) -> str:
    return path.relative_to(SRC).as_posix()


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _unit(module: str) -> str:
    """What a module belongs to: `nasmith.lms.sampling` to `lms`, the package itself to `nasmith`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def _is_module(name: str) -> bool:
    path = SRC.parent / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def _imports(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Modules of nasmith that a module imports anywhere, for types alone too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):  # a bare `import nasmith` runs nothing that importing the module itself has not run
            names = [alias.name for alias in node.names if alias.name != "nasmith"]
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            names = [f"{origin}.{a.name}" if _is_module(f"{origin}.{a.name}") else origin for a in node.names]
        else:
            continue
        yield from ((node, name) for name in names if name.split(".")[0] == "nasmith")


def wrong_layers(path: Path, tree: ast.Module, unit: str) -> Iterator[str]:
    level = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    if unit not in level:
        yield f"{_at(path)}: {unit} has no place in LAYERS"
        return
    for node, module in _imports(tree):
        other = _unit(module)
        if other == unit:
            continue
        if other not in level:
            yield f"{_at(path, node)}: {other} has no place in LAYERS"
        elif level[other] >= level[unit]:
            yield f"{_at(path, node)}: {unit} imports {module}, which is not in a layer below"
        elif other in IMPLEMENTATIONS and unit not in MAY_NAME_IMPLEMENTATIONS:
            yield f"{_at(path, node)}: {unit} imports {module}, an implementation"


def wrong_furniture(path: Path, tree: ast.Module) -> Iterator[str]:
    """Docstring, future import and `__all__`: all that are listed exist, and all public definitions are listed."""
    if not ast.get_docstring(tree):
        yield f"{_at(path)}: no docstring that states the module's one job"
    if len(tree.body) <= 1:
        return
    if not any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body):
        yield f"{_at(path)}: no `from __future__ import annotations`"
    listed = next((n.value for n in tree.body if isinstance(n, ast.Assign) and _dotted(n.targets[0]) == "__all__"), None)
    if listed is None:
        if path.name != "__init__.py":
            yield f"{_at(path)}: no __all__"
        return
    exported, names = set(ast.literal_eval(listed)), _top_level_names(tree)
    definitions = (n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)))
    yield from (f"{_at(path, listed)}: __all__ lists {name!r}, which is not there" for name in sorted(exported - names))
    for node in definitions:
        if not node.name.startswith("_") and node.name not in exported | _commands(tree):
            yield f"{_at(path, node)}: {node.name} is public by name, but not in __all__"


def _commands(tree: ast.Module) -> set[str]:
    """Functions handed to `app.command(...)`: typer calls them, no other module does."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Call)]
    return {_dotted(argument) for n in calls if _dotted(n.func.func).endswith(".command") for argument in n.args}


def _top_level_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    guarded = [n for g in tree.body if isinstance(g, ast.If) for n in g.body]  # `if TYPE_CHECKING:`, with a lazy __getattr__
    for node in [*tree.body, *guarded]:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))
        elif isinstance(node, ast.AnnAssign):
            names.add(_dotted(node.target))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name for alias in node.names)
    return names


def too_large(path: Path, tree: ast.Module, key: str) -> Iterator[str]:
    lines = len(path.read_text().splitlines()) if path.is_file() else 0
    if lines > MAX_FILE_LINES and key not in LONG_FILES:
        yield f"{_at(path)}: {lines} lines, more than {MAX_FILE_LINES}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            count = sum(isinstance(child, ast.FunctionDef) for child in node.body)
            if count > MAX_METHODS and f"{key}:{node.name}" not in LARGE_CLASSES:
                yield f"{_at(path, node)}: class {node.name} has {count} methods, more than {MAX_METHODS}"
        elif isinstance(node, ast.FunctionDef):
            count = (node.end_lineno or 0) - node.lineno + 1
            if count > MAX_FUNCTION_LINES and f"{key}:{node.name}" not in LONG_FUNCTIONS:
                yield f"{_at(path, node)}: function {node.name} has {count} lines, more than {MAX_FUNCTION_LINES}"


def global_randomness(path: Path, tree: ast.Module) -> Iterator[str]:
    """Uses of the generators that a whole process shares; `torch.random.fork_rng()` gives a block its own."""
    imported = {alias.asname or alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    forked: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any("fork_rng" in ast.unparse(item) for item in node.items):
            forked.update(ast.walk(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            shared = [alias.name for alias in node.names if alias.name not in ("Random", "SystemRandom")]
            yield from (f"{_at(path, node)}: random.{name} uses the process's generator" for name in shared)
        elif isinstance(node, ast.Attribute):
            name = _dotted(node)
            owner, _, last = name.rpartition(".")
            if (
                (owner == "random" and "random" in imported and last not in ("Random", "SystemRandom"))
                or (owner in ("np.random", "numpy.random") and last not in NUMPY_GENERATORS)
                or (name in TORCH_SEEDS and node not in forked)
            ):
                yield f"{_at(path, node)}: {name} uses the process's generator; use one of your own"


def broad_excepts(path: Path, tree: ast.Module) -> Iterator[str]:
    """Handlers that catch everything and do not raise it again."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        broad = node.type is None or any(
            kind is not None and _dotted(kind) in ("Exception", "BaseException") for kind in caught
        )
        last = node.body[-1]
        if broad and not (isinstance(last, ast.Raise) and last.exc is None):
            yield f"{_at(path, node)}: catches everything; name what can come"


def _fail(violations: Iterator[str] | list[str]) -> None:
    found = list(violations)
    assert not found, "\n" + "\n".join(found)


def test_a_module_imports_only_from_layers_below():
    units = ((path, path.relative_to(SRC).with_suffix("").parts) for path in _modules() if path != SRC / "__init__.py")
    _fail(violation for path, parts in units for violation in wrong_layers(path, _tree(path), parts[0]))


def test_every_module_has_its_docstring_and_its_exports():
    _fail(violation for path in _modules() for violation in wrong_furniture(path, _tree(path)))


def test_the_packages_own_names_resolve():
    _fail([f"nasmith.{name} does not resolve" for name in nasmith.__all__ if getattr(nasmith, name, None) is None])


def test_files_classes_and_functions_are_small():
    _fail(violation for path in _modules() for violation in too_large(path, _tree(path), _key(path)))


def test_an_example_fits_on_a_screen():
    examples = sorted((ROOT / "examples").glob("*.py"))
    _fail([_at(path) for path in examples if len(path.read_text().splitlines()) > MAX_EXAMPLE_LINES])


def test_no_randomness_is_shared():
    _fail(v for path in _modules() if _key(path) not in GLOBAL_RANDOMNESS for v in global_randomness(path, _tree(path)))


def test_no_handler_catches_everything():
    _fail(v for path in _modules() if _key(path) not in BROAD_EXCEPT for v in broad_excepts(path, _tree(path)))


def test_every_module_has_its_tests():
    modules = [path for path in _modules() if path.name not in ("__init__.py", "__main__.py")]
    names = [path.relative_to(SRC).with_suffix("") for path in modules]
    missing = [
        n for n in names if n.as_posix() not in NO_TESTS and not (ROOT / "tests" / n.parent / f"test_{n.name}.py").is_file()
    ]
    _fail([f"src/nasmith/{name}.py: no tests/{name.parent / f'test_{name.name}.py'}" for name in missing])


def test_every_test_file_has_its_module():
    tests = [path.relative_to(ROOT / "tests") for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    wrong = [
        t for t in tests if t.stem not in NO_SOURCE and not (SRC / t.parent / f"{t.stem.removeprefix('test_')}.py").is_file()
    ]
    _fail([f"tests/{test}: no src/nasmith/{test.parent / test.name.removeprefix('test_')}" for test in wrong])


def test_no_file_is_named_for_nothing():
    folders = ("src", "tests", "benchmarks", "examples")
    _fail([_at(p) for folder in folders for p in sorted((ROOT / folder).rglob("*.py")) if p.stem in FORBIDDEN_NAMES])


def test_no_exception_outlives_its_reason():
    trees = {_key(path): (path, _tree(path)) for path in _modules()}
    stale = [f"LONG_FILES: {key}" for key in LONG_FILES if len((SRC / key).read_text().splitlines()) <= MAX_FILE_LINES]
    stale += [f"BROAD_EXCEPT: {key}" for key in BROAD_EXCEPT if key not in trees or not list(broad_excepts(*trees[key]))]
    stale += [f"GLOBAL_RANDOMNESS: {key}" for key in GLOBAL_RANDOMNESS if not list(global_randomness(*trees[key]))]
    sizes = "".join(v for path, tree in trees.values() for v in too_large(path, tree, ""))
    stale += [f"LONG_FUNCTIONS: {key}" for key in LONG_FUNCTIONS if f"function {key.partition(':')[2]} has" not in sizes]
    stale += [f"LARGE_CLASSES: {key}" for key in LARGE_CLASSES if f"class {key.partition(':')[2]} has" not in sizes]
    stale += [f"NO_TESTS: {key}" for key in NO_TESTS if not (SRC / f"{key}.py").is_file()]
    _fail(stale)


@pytest.mark.parametrize("module", ["nasmith", "nasmith.cli"])
def test_importing_it_imports_nothing_slow(module):
    code = f"import {module}, sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not {"torch", "transformers", "peft", "sqlalchemy", "alembic", "matplotlib", "plotly", "scipy"} & set(loaded)


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_entry_point_leads_to_a_class():
    for group, entries in _project()["entry-points"].items():
        for name, target in entries.items():
            module, _, attribute = target.partition(":")
            path = SRC.parent / module.replace(".", "/")
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            assert path.is_file(), f"{group}: {name} = {target}: no such module"
            assert attribute in _top_level_names(_tree(path)), f"{group}: {name} = {target}: no such class"


def test_the_constraints_pin_every_dependency_within_its_range():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if line and not line.startswith("#"))
    for text in [*_project()["dependencies"], *_project()["optional-dependencies"]["dev"]]:
        wanted = Requirement(text)
        pin = pins.get(wanted.name.lower().replace("_", "-"))
        assert pin is not None, f"constraints.txt does not pin {wanted.name}"
        assert wanted.specifier.contains(pin, prereleases=True), f"constraints.txt has {wanted.name} {pin}, outside {text!r}"


@pytest.mark.parametrize(
    ("rule", "text", "count"),
    [
        ("layers", "from nasmith.storage.sql import Sql\nimport nasmith.loop\nfrom nasmith import errors, api", 3),
        ("layers", "def f():\n    from nasmith.tasks.mnist1d import Mnist1d\n    from nasmith.lms import sampling", 1),
        ("furniture", "import os\n__all__ = ['gone']\ndef f(): ...", 4),
        ("furniture", '"""Job."""', 0),
        ("sizes", "class A:\n" + "".join(f"    def m{i}(self): ...\n" for i in range(16)), 1),
        ("sizes", "def f():\n" + "    pass\n" * 60, 1),
        ("sizes", "def f():\n" + "    pass\n" * 59, 0),
        ("random", "import random\nrandom.random()\nr = random.Random(1)\nnp.random.rand()\nnp.random.default_rng(1)", 2),
        ("random", "def f(random): return random.choice([1])", 0),
        ("random", "torch.manual_seed(1)\nwith torch.random.fork_rng():\n    torch.manual_seed(1)", 1),
        ("except", "try: ...\nexcept Exception: ...", 1),
        ("except", "try: ...\nexcept: ...", 1),
        ("except", "try: ...\nexcept (ValueError, BaseException) as e: print(e)", 1),
        ("except", "try: ...\nexcept BaseException:\n    close()\n    raise", 0),
        ("except", "try: ...\nexcept ValueError: ...", 0),
    ],
)
def test_the_rules_find_what_they_are_for(rule, text, count):
    path, tree = Path("sample.py"), ast.parse(text)
    found = {
        "layers": lambda: wrong_layers(path, tree, "lms"),
        "furniture": lambda: wrong_furniture(path, tree),
        "sizes": lambda: too_large(path, tree, "sample.py"),
        "random": lambda: global_randomness(path, tree),
        "except": lambda: broad_excepts(path, tree),
    }[rule]()

    assert len(list(found)) == count
