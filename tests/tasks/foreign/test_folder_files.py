import ast

from nasmith.tasks.foreign.folder_files import defined, guarded, imports, readable


def test_what_a_file_defines_is_found_without_running_it():
    tree = ast.parse("from a import b as c\nimport d\n\n\ndef f():\n    inner = 1\n\n\nx = 1\nif x:\n    y = 2\n")
    assert {"c", "d", "f", "x", "y"} <= defined(tree) and "inner" not in defined(tree)
    assert "*" in defined(ast.parse("from a import *\n"))


def test_a_script_with_a_guard_can_be_imported():
    assert guarded(ast.parse('if __name__ == "__main__":\n    main()\n'))
    assert not guarded(ast.parse("main()\n"))


def test_what_a_file_imports_is_named():
    assert {"numpy", "json"} <= {
        name.partition(".")[0] for name in imports(ast.parse("import numpy as np\nfrom json import loads\n"))
    }


def test_private_files_are_not_readable(tmp_path):
    for name in ("goal.txt", "config.yaml"):
        (tmp_path / name).write_text("x")
    found = readable(tmp_path, private=["config.yaml"])
    assert str(tmp_path / "goal.txt") in found and str(tmp_path / "config.yaml") not in found and str(tmp_path) not in found
