"""Says in plain English what a user's task asks of a program: for the language model that is asked, and for people."""

from __future__ import annotations

from nasmith.problems import Problem
from nasmith.tasks.folder.plan import Plan
from nasmith.tasks.folder.settings import Settings

__all__ = ["statement"]

_WORDS = {
    "params": "the number of parameters",
    "flops": "the floating point operations for one input",
    "latency_ms": "the time of a forward pass in milliseconds",
    "peak_memory_mb": "the memory of a forward pass in megabytes",
}


def statement(settings: Settings, problem: Problem, plan: Plan) -> str:
    """Return what a program must be and what counts: a few paragraphs."""
    return "\n\n".join(filter(None, [_model(problem, plan), _aims(settings), _training(plan), settings.notes.strip()]))


def _model(problem: Problem, plan: Plan) -> str:
    inputs = ", ".join(["batch", *map(str, plan.input_shape)])
    outputs = ", ".join(["batch", *map(str, plan.output_shape)])
    tokens = f" whole numbers from 0 to {plan.highest_token:,}," if plan.input_type == "int64" else ""
    return (
        f"{problem.describe()} `Model()` takes no arguments and returns a `torch.nn.Module` that maps a tensor of{tokens} type "
        f"{plan.input_type} and shape ({inputs}) to one of type float32 and shape ({outputs}), for any batch size. Lazy layers "
        "(`nn.LazyLinear`, `nn.LazyConv2d`) are allowed: a first pass finds the sizes of their inputs."
    )


def _aims(settings: Settings) -> str:
    wanted = [
        f"{'low' if aim.direction == 'minimize' else 'high'} {_WORDS.get(aim.name, 'validation ' + aim.name)}"
        for aim in settings.objectives
    ]
    even = len({aim.weight for aim in settings.objectives}) == 1
    order = {
        "product": "Their product counts" + (": halving one is worth as much as halving another." if even else "."),
        "weighted": "Their weighted sum counts.",
        "lexicographic": "They count in this order: a later one decides between programs that are equal in the earlier ones.",
        "pareto": "Any trade-off between them that no other program beats is wanted.",
    }
    said = f"Wanted: {', '.join(wanted)}." + (f" {order[settings.selection]}" if len(wanted) > 1 else "")
    for name, limit in settings.bounds.items():
        what = _WORDS.get(name, "validation " + name)
        if limit.at_most is not None:
            said += f" At most {limit.at_most:,g} is allowed for {what}."
        if limit.at_least is not None:
            said += f" At least {limit.at_least:,g} is needed for {what}."
    return said


def _training(plan: Plan) -> str:
    if plan.own_fit:
        return "Training is fixed and not part of the program."
    recipe = plan.recipe
    return (
        f"Training is fixed and not part of the program: {recipe.steps:,} steps of AdamW, batches of {recipe.batch_size}, a "
        f"constant learning rate of {recipe.learning_rate:g}, weight decay {recipe.weight_decay:g}."
    )
