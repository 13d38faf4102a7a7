"""The commands below `nasmith imagenet`: count a network, train it in full, fine-tune it, play a recorded chat, make images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasmith.cli.console import JsonFlag, console, print_json
from nasmith.errors import UsageError

if TYPE_CHECKING:
    from nasmith.space import Design
    from nasmith.tasks.imagenet.recipes import Recipe
    from nasmith.tasks.imagenet.training_files import Training

__all__ = ["add_to"]

_Design = Annotated[str, typer.Argument(help="30 numbers from 0 to 6.", metavar="DESIGN", show_default=False)]
_Data = Annotated[str, typer.Option("--data", metavar="DIR", help="The images: train/CLASS/... and val/CLASS/..., or shards.")]
_Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write into; a training in it goes on.")]
_Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another value of the recipe, such as epochs=10.", show_default=False),
]
_Gpus = Annotated[int, typer.Option("--gpus", help="GPUs that share each batch.")]
_Device = Annotated[str, typer.Option("--device", help="cuda, cpu, or auto.")]
_Seed = Annotated[int, typer.Option("--seed", help="Of weights, order and augmentation.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Register the commands as a group below the heading `panel`."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode="rich", help="Count, train and move networks of the mobile space."
    )
    group.command()(count)
    group.command()(train)
    group.command()(finetune)
    group.command()(play)
    group.command()(sample)
    app.add_typer(group, name="imagenet", rich_help_panel=panel)


def count(
    design: _Design,
    resolution: Annotated[int, typer.Option("--resolution", help="Pixels a side.")] = 224,
    classes: Annotated[int, typer.Option("--classes", help="Of the data set.")] = 1000,
    json: JsonFlag = False,
) -> None:
    """Count parameters and FLOPs of a network: by the table, and by building it."""
    import numpy as np

    from nasmith.tasks.imagenet.mobile_space import count_by_building, table

    if resolution < 32 or classes < 2:
        raise UsageError("resolution must be at least 32, and classes at least 2.")
    chosen = _read(design)
    params, flops, _ = map(int, table(resolution, classes).measure(np.array([chosen]))[0])
    built = count_by_building(chosen, resolution, classes)
    if json:
        print_json({"params": params, "flops": flops, "built": {"params": built[0], "flops": built[1]}})
        return
    say = console().print
    say(f"{params / 1e6:.1f} M parameters ({params:,})")
    say(f"{flops / 1e6:.0f} M FLOPs at {resolution} pixels ({flops:,} multiply-adds for one image)")
    say("[dim]The network that was built has the same.[/]" if built == (params, flops) else f"The built network has {built}.")


def train(
    design: _Design,
    data: _Data,
    output: _Output = Path("trained"),
    preset: Annotated[str, typer.Option("--preset", help="search, retrain, proxy, transfer or tiny.")] = "retrain",
    settings: _Settings = None,
    gpus: _Gpus = 1,
    device: _Device = "auto",
    seed: _Seed = 0,
    checkpoint_seconds: Annotated[float, typer.Option("--checkpoint-seconds", help="Between checkpoints.")] = 300,
) -> None:
    """Train a network, as the paper trains its final ones; the same command goes on after a kill."""
    from nasmith.tasks.imagenet.training_files import Training

    recipe = _recipe(preset, settings)
    training = Training(_read(design), _place(data), recipe, seed, device, checkpoint_seconds=checkpoint_seconds)
    _train(training, output, gpus)


def finetune(
    model: Annotated[Path, typer.Argument(help="Folder of `nasmith export` or `nasmith imagenet train`.", show_default=False)],
    data: _Data,
    output: _Output = Path("finetuned"),
    preset: Annotated[str, typer.Option("--preset", help="The recipe.")] = "transfer",
    settings: _Settings = None,
    gpus: _Gpus = 1,
    device: _Device = "auto",
    seed: _Seed = 0,
) -> None:
    """Train a trained network further on other images, such as CIFAR-10 in folders."""
    from nasmith.tasks.imagenet.delivery import delivered_design
    from nasmith.tasks.imagenet.training_files import Training

    start = str((model / "weights.safetensors").absolute())
    training = Training(delivered_design(model), _place(data), _recipe(preset, settings), seed, device, start=start)
    _train(training, output, gpus)


def play(
    chat: Annotated[Path, typer.Argument(help="A recorded chat, JSON.", show_default=False)], json: JsonFlag = False
) -> None:
    """Play a recorded GENIUS chat through nasmith's loop, and list where the record decided otherwise."""
    from nasmith.chat_playing import play as played

    found = played(chat)
    if json:
        print_json(found.as_json())
        return
    for line in found.lines():
        console().print(line, markup=False, soft_wrap=True)


def sample(
    folder: Annotated[Path, typer.Argument(help="A folder that is new or empty.", show_default=False)],
    classes: Annotated[int, typer.Option("--classes", help="At most 8.")] = 4,
    images: Annotated[int, typer.Option("--images", help="Training images of each class.")] = 60,
    size: Annotated[int, typer.Option("--size", help="Pixels a side.")] = 64,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Generate a small set of images to try the commands with: shapes and textures, in folders."""
    from nasmith.tasks.imagenet.sample_images import write_sample

    test = max(1, images // 4)
    write_sample(folder, classes, images, test, size, seed)
    console().print(f"{classes} classes of {images} training and {test} test images: {folder}", soft_wrap=True)


def _train(training: Training, output: Path, gpus: int) -> None:
    """Train, deliver, and sum up."""
    from dataclasses import replace

    from nasmith.tasks.imagenet.delivery import deliver
    from nasmith.tasks.imagenet.image_checks import check_classes, check_overlap
    from nasmith.tasks.imagenet.image_sources import open_images
    from nasmith.tasks.imagenet.training_files import TrainingFolder
    from nasmith.tasks.imagenet.training_process import run

    if gpus < 1:
        raise UsageError("--gpus must be at least 1.")
    sets = open_images(training.place)
    check_classes(sets)
    check_overlap(sets)
    predicts = (*(["val"] if training.recipe.held_out else []), *([] if sets.test is None else ["test"]))
    folder = TrainingFolder(output)
    folder.begin(replace(training, predicts=predicts))
    say = console()
    try:
        run(folder, gpus, lambda line: say.print(line, markup=False, soft_wrap=True, style="dim"))
    except (ValueError, MemoryError, RuntimeError) as error:
        raise UsageError(f"{error}. What it said is in {folder.log}.") from error
    scores = deliver(folder, sets)
    for name, words in (("val_accuracy", "of the images held out"), ("test_accuracy", "of the test images")):
        if name in scores:
            say.print(f"{scores[name]:.2f}% {words} right")
    say.print(f"{scores['params'] / 1e6:.1f} M parameters, {scores['flops'] / 1e6:.0f} M FLOPs at 224 pixels")
    say.print(f"{output}/model.py, weights.safetensors, predict.py, scores.json, curve.csv", soft_wrap=True)


def _read(text: str) -> Design:
    from nasmith.replies import design_in
    from nasmith.tasks.imagenet.mobile_space import mobile

    try:
        return design_in(text, mobile())
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def _place(data: str) -> str:
    return data if data.startswith("hf:") else str(Path(data).expanduser().absolute())


def _recipe(preset: str, settings: list[str] | None) -> Recipe:
    """Return a preset with the values that were set.

    Raises:
        UsageError: A name or a value is wrong.
    """
    from nasmith.config import setting
    from nasmith.registry import validated
    from nasmith.tasks.imagenet.recipes import Recipe, recipe

    return recipe(preset, validated("recipe", Recipe, dict(map(setting, settings or []))))
