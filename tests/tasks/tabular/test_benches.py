from nasmith import registry
from nasmith.tasks.tabular import benches
from nasmith.tasks.tabular.tables import HASHES


def test_every_bench_has_its_table_and_name():
    tasks = [getattr(benches, name) for name in benches.__all__]
    assert {task.bench.file for task in tasks} == set(HASHES)
    classes = {name: registry.load("tasks", name).__module__ for name in registry.names("tasks")}
    assert {task.name for task in tasks} == {name for name, module in classes.items() if ".tabular." in module}
    for task in tasks:
        assert task.objectives[0].name == task.bench.shown
        assert task.bench.title in (task.__doc__ or "") or task.bench.title.split(",")[0] in (task.__doc__ or "")
