"""Folders written to the contracts of OpenEvolve and ShinkaEvolve, and searches of them with recorded replies."""

from pathlib import Path

import nasmith
from nasmith.lms.scripted import Scripted

PROGRAM = """\
import math


# EVOLVE-BLOCK-START
def search():
    return 3.0, 2.0
# EVOLVE-BLOCK-END


def run_search():
    x, y = search()
    return x, y, math.sin(x) * math.cos(y)
"""
FIXED = PROGRAM.partition("def search():\n    return 3.0, 2.0\n")[::2]
EVALUATOR = """\
import concurrent.futures
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path


def load(path):
    spec = importlib.util.spec_from_file_location("program", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def evaluate(program_path):
    goal = float((Path(__file__).parent / "goal.txt").read_text())
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        x, y, value = pool.submit(load(program_path).run_search).result()
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as script:
        script.write("print(40 + 2)")
    answer = subprocess.run([sys.executable, script.name], capture_output=True, text=True).stdout
    return {"combined_score": goal - abs(x) - abs(y), "value": value, "answer": float(answer), "fine": True}
"""
STAGES = """\
import time


def evaluate_stage1(path):
    text = open(path).read()
    if "slow" in text:
        try:
            time.sleep(30)
        except BaseException:
            pass
    return {"combined_score": 0.9 if "good" in text else 0.1, "first": 1.0}


def evaluate_stage2(path):
    return {"combined_score": 0.95, "second": 2.0}


def evaluate(path):
    raise RuntimeError("stages are run instead")
"""
SHINKA = """\
import argparse
import json
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--program_path")
parser.add_argument("--results_dir")


def main(program_path, results_dir):
    namespace = {}
    exec(Path(program_path).read_text(), namespace)
    x, y, value = namespace["run_search"]()
    correct = x >= 0
    verdict = {"correct": correct, "error": None if correct else "x is negative"}
    (Path(results_dir) / "correct.json").write_text(json.dumps(verdict))
    metrics = {"combined_score": -x - y, "public": {"value": value}, "private": {}}
    (Path(results_dir) / "metrics.json").write_text(json.dumps(metrics))


if __name__ == "__main__":
    arguments = parser.parse_args()
    main(arguments.program_path, arguments.results_dir)
"""


def openevolve(
    folder: Path, evaluator: str = EVALUATOR, config: str = "evaluator: {timeout: 10}\n", program: str = PROGRAM
) -> Path:
    """Write a folder of OpenEvolve."""
    folder.mkdir()
    (folder / "initial_program.py").write_text(program)
    (folder / "evaluator.py").write_text(evaluator)
    (folder / "config.yaml").write_text(config)
    (folder / "goal.txt").write_text("1.5")
    return folder


def shinka(folder: Path) -> Path:
    """Write a task of ShinkaEvolve."""
    folder.mkdir()
    (folder / "initial.py").write_text(PROGRAM)
    (folder / "evaluate.py").write_text(SHINKA)
    return folder


def whole(body: str) -> str:
    """Return a reply with a whole program, whose function has this body."""
    return f"```python\n{PROGRAM.replace('return 3.0, 2.0', body)}```"


def searched(folder: Path, storage: Path, *replies: str, **options):
    """Search a folder with recorded replies, one a prompt; return the result, and the search evaluations by candidate."""
    result = nasmith.search(
        str(folder),
        Scripted(list(replies), chat=True),
        "random",
        storage=storage,
        budget=nasmith.Budget(evaluations=len(replies)),
        verify=nasmith.Verification(best=0),
        **options,
    )
    return result, {evaluation.candidate: evaluation for evaluation in result.evaluations}
