from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("clrs", reason='the extra is not installed: pip install "nasmith[clrs]"')

from clrs_toys import V1, tiny, trained
from nasmith.executors.processes import Processes
from nasmith.tasks.clrs.parts import TRIPLET_MESSAGES
from nasmith.types import Job, Status


def test_the_whole_network_is_measured():
    facts = tiny("articulation_points", hidden=128).workload().screen(V1)
    assert facts["params"] == 531_913 and facts["part_params"] == 11_448


def test_a_network_that_is_too_large_is_refused_before_it_is_trained():
    with pytest.raises(ValueError, match=r"the network has [\d,]+ parameters with it; at most 3,000 are allowed"):
        tiny(max_params=3000).workload().screen(TRIPLET_MESSAGES.seeds["v9"])


def test_a_training_returns_predictions_and_states_of_every_point():
    task, _, arrays, facts = trained()
    assert facts["steps"] == 6
    assert arrays["predictions/val/pi"].shape == (2, 16, 16)
    states = {name.split("/")[1] for name in arrays if name.startswith("state/")}
    assert states == {"0", "1"}
    params = sum(value.size for name, value in arrays.items() if name.startswith("state/1/"))
    assert params == task.workload().screen(V1)["params"]


def test_a_seed_gives_the_same_training_again():
    task, data, arrays, _ = trained()
    again, _ = task.workload().fit(V1, 3, {split: data[split] for split in ("train", "val")})
    assert all(np.array_equal(again[name], value) for name, value in arrays.items())


def test_the_second_account_predicts_the_same_from_the_state():
    task, data, arrays, _ = trained()
    state = {name.removeprefix("state/1/"): value for name, value in arrays.items() if name.startswith("state/1/")}
    again, facts = task.workload().examine(V1, state, {"val": data["val"]})
    assert np.array_equal(again["predictions/val/pi"][0], arrays["predictions/val/pi"][1])
    assert facts == task.workload().screen(V1)


def test_predictions_do_not_depend_on_the_steps_that_hold_answers():
    """The steps behind the first are not given to a network; had they been, it would have predicted the same."""
    task, _, arrays, _ = trained()
    from nasmith.tasks.clrs.graph_network import datapoints, predict_all

    network, spec = task.workload()._network(V1)
    state = {name.removeprefix("state/1/"): value for name, value in arrays.items() if name.startswith("state/1/")}
    params: dict = {}
    for name, value in state.items():
        module, _, parameter = name.rpartition("/")
        params.setdefault(module, {})[parameter] = value
    import clrs

    whole = task._val
    inputs, hints = tuple(datapoints(spec, whole.inputs)), tuple(datapoints(spec, whole.hints))
    found = predict_all(network, params, clrs.Features(inputs, hints, whole.lengths))
    assert np.array_equal(found["pi"].data, arrays["predictions/val/pi"][1])


@pytest.mark.slow
def test_it_trains_in_the_sandbox_from_one_warm_process():
    task = tiny()
    executor = Processes(workers=1, memory_mb=6000, sandbox="strict")
    executor.start(task.workload(), task.data)  # a warning that it cannot be forked would be an error here
    try:
        bad = executor.submit(Job(0, V1.replace("hk.Linear(out_size)", "hk.Linear(3)"), 0)).result()
        assert bad.status is Status.INVALID and "returns shape" in bad.message and bad.seconds < 2
        outcome = executor.submit(Job(1, V1, 3)).result()
        assert outcome.status is Status.OK, outcome.message
        job = Job(1, V1, 3, ("val", "test"), "examine", task.best_state(outcome))
        examined = executor.submit(job).result()
    finally:
        executor.close()
    metrics = task.score(outcome, examined, "verify")
    assert {"val_error", "params", "flops", "train_seconds", "test_error", "best_point"} <= set(metrics)
    inline = trained()[2]
    assert np.array_equal(outcome.arrays["predictions/val/pi"], inline["predictions/val/pi"])


def test_what_it_asks_of_the_sandbox():
    workload = tiny().workload()
    assert workload.spare_threads > 16 and not workload.gpu
    assert all(path.startswith(("/proc/cpuinfo", "/sys/devices/system/cpu")) for path in workload.readable)


def test_what_was_compiled_is_kept_where_nothing_holds_the_candidate(tmp_path, monkeypatch):
    import jax

    monkeypatch.setenv("NASMITH_CACHE", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir
    try:
        tiny().workload().screen(V1)
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "clrs" / "compiled")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
