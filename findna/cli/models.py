"""``findna models``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from findna.cli import _options
from findna.cli._options import FILE, MODEL, PATH, flag, option
from findna.cli._output import is_terminal, print_card, print_table, print_text, purpose


@click.group(short_help="List models, look at one, or import one.")
def models() -> None:
    """List models, look at one, draw how one was trained, or import a published checkpoint.

    \b
    Examples:
      findna models list
      findna models info tiny
      findna models report model/ -o report.html
      findna models import model_29_1000_4l_308_512_noiseandTL.pt -o published/
    """


@models.command("list")
@_options.verbosity
def list_models() -> None:
    """Show the models that there are.

    They ship, or lie in $FINDNA_HOME/models or in models/ of a folder of $FINDNA_PATH, a list
    divided by colons. One's own go before those of the path, in its order, and these before one
    of the same name that ships; -v says which are hidden.

    \b
    Examples:
      findna models list
      FINDNA_PATH=/lab/findna:/cluster/findna findna models list -v
    """
    from findna import places
    from findna.errors import CheckpointError
    from findna.model.checkpoint import DEFAULT_MODEL, read_config

    rows = []
    for name, folders in places.every(places.MODELS).items():
        places.say_hidden(name, folders)
        try:
            values = read_config(folders[0])
        except CheckpointError as error:  # the others can be used all the same
            _options.say(f"{name} left out: {error}")
            continue
        encoder, training = values["encoder"], values.get("training")
        training = training if isinstance(training, dict) else {}
        read = training.get("tokens_seen")
        rows.append(
            (
                name + (" (default)" if name == DEFAULT_MODEL else ""),
                str(encoder["dim"]),
                f"{encoder['n_blocks']} x {encoder['layers_per_block']}",
                str(encoder["max_length"]),
                f"{read / 1e6:.0f} M" if isinstance(read, int | float) else ".",
                str(values.get("digest", ""))[:12],
                places.where(folders[0]),
                str(training.get("species") or "."),
                purpose(training.get("note")),
            )
        )
    header = ("model", "dim", "layers", "max_length", "trained_on_bp", "digest")
    print_table((*header, "where", "species", "purpose"), rows)


@models.command(short_help="Show the card of a model, and check its weights.")
@click.argument("model", type=MODEL)
@flag("--json as_json", "Print config.json as it is.")
@_options.verbosity
def info(model: str, as_json: bool) -> None:
    """Show the card of MODEL, a name or a folder, and check its weights.

    Where its folder holds metrics.jsonl, the curves of its training follow.
    """
    from findna.model.checkpoint import CARD, load_checkpoint, read_config
    from findna.pretraining.history import METRICS, curve_rows, read_history

    checkpoint = load_checkpoint(model)
    if as_json:
        print_text(json.dumps(read_config(checkpoint.folder), indent=2))
        return
    print_card(checkpoint.folder / CARD, checkpoint.name)
    if (checkpoint.folder / METRICS).is_file():
        history = read_history(checkpoint.folder)
        print_text(f"\n## Training\n\n{history.verdict}\n")
        print_table(*curve_rows(history, with_curve=is_terminal()))


@models.command(short_help="Draw the curves of a training.")
@click.argument("run", metavar="MODEL|METRICS", type=MODEL)
@option("-o --output=FILE", ".html, .pdf, .png or .svg.", PATH, required=True)
@_options.force
@_options.verbosity
def report(run: str, output: Path, force: bool) -> None:
    """Draw the curves of a training: of a model, by name or folder, or of a metrics.jsonl.

    It may be under way or have failed. Needs findna[plot].
    """
    from findna import places
    from findna.model.checkpoint import find_model
    from findna.outputs.files import check_output
    from findna.pretraining.curves import need_curves, write_report
    from findna.pretraining.history import read_history

    need_curves(output)
    path = Path(run)
    if places.find(places.MODELS, run) or not path.exists():
        path = find_model(run)
    history = read_history(path)
    check_output(output, force, [path])
    write_report(history, output)
    _options.say(f"{history.verdict} -> {output}")


@models.command("import", short_help="Convert a checkpoint of the paper's code.")
@click.argument("published", type=FILE)
@option("-o --output", "Model folder to write.", PATH, required=True)
@option("--teacher/--student", "Which of the two networks to take.", default=True)
@_options.force
@_options.verbosity
def import_model(published: Path, output: Path, teacher: bool, force: bool) -> None:
    """Convert PUBLISHED, a checkpoint of the FinDNA paper's code (.pt), to a model folder.

    Only tensors are read from the pickle. Sizes follow from the tensors; the published training
    length (1,000 bp) and number of CLS positions (10, which only embed --cls appends) are not
    stored in it and are assumed.
    """
    from findna.model.published import convert

    digest = convert(published, output, "Teacher" if teacher else "Student", force)
    _options.say(f"wrote {output} ({digest[:12]})")
