"""``headscope models``: which families are supported, and the proof of a model of one's own."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from headscope.cli.output import tell
from headscope.errors import HeadscopeError, ModelError
from headscope.models.survey import SurveyedFamily, load

if TYPE_CHECKING:
    from headscope.models.placement import LoadOptions, ModelOptions
    from headscope.models.vlm import VLM


models_app = typer.Typer(
    help="Families that are supported; the proof of a model.", invoke_without_command=True
)

DeviceMapOption = Annotated[
    str | None,
    typer.Option("--device-map", help="auto, balanced, sequential, or a JSON file: module name -> device."),
]
MaxMemoryOption = Annotated[
    str | None, typer.Option("--max-memory", help="For a named device map: 0=20GiB,1=20GiB,cpu=60GiB.")
]
QuantizationOption = Annotated[str | None, typer.Option("--quantization", help="8bit or 4bit.")]
AttentionOption = Annotated[
    str | None,
    typer.Option(
        "--attention",
        help="Attention kernel: sdpa, eager, flash_attention_2, flash_attention_3 or flex_attention; by "
        "default what the checkpoint names, else transformers' choice.",
    ),
]
TowerOption = Annotated[str, typer.Option("--tower", help="decoder, or vision for its heads too.")]
ImageBackendOption = Annotated[
    str,
    typer.Option(
        "--image-backend",
        help="What pictures are read with: pil, torchvision, or auto (torchvision where it is installed; in "
        "a study that was begun, what it was begun with).",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]

if TYPE_CHECKING:
    from rich.table import Table

_COLOURS = {"PROVED": "green", "PARTLY": "yellow", "REFUSED": "red"}
# Status in the survey of a step that a checkpoint's processor is needed for.
_LATER = "on a checkpoint"


@models_app.callback()
def models(context: typer.Context, as_json: JsonOption = False) -> None:
    """Families of vision-language models: what is proved for each, what is not, and why."""
    if context.invoked_subcommand is not None:
        return
    rows = families()
    if as_json:
        _print_json([_entry(row.family, row.status, row.reason, row.proofs) for row in rows])
        return
    from rich.console import Console

    console = Console()
    console.print(_family_table(rows))
    counts = {s: sum(row.status == s for row in rows) for s in _COLOURS}
    console.print(", ".join(f"{n} {s}" for s, n in counts.items()))


@models_app.command()
def check(
    model: Annotated[str, typer.Argument(help='"embedded", a checkpoint folder, or a hub id (org/name).')],
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:1, mps ...")] = "cpu",
    dtype: Annotated[str, typer.Option("--dtype", help="float32, bfloat16 or float16.")] = "float32",
    device_map: DeviceMapOption = None,
    max_memory: MaxMemoryOption = None,
    quantization: QuantizationOption = None,
    attention: AttentionOption = None,
    tower: TowerOption = "decoder",
    image_backend: ImageBackendOption = "auto",
    as_json: JsonOption = False,
    thorough: Annotated[
        bool,
        typer.Option("--thorough", help="Try everything on it, a small study too; write a page to send."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --thorough: the page (.md); its JSON goes beside it.")
    ] = None,
) -> None:
    """Load a model; prove geometry, spans, edits, batching, generation; exit 1 with the reason if refused."""
    if thorough:
        from headscope.cli.thorough import check_thoroughly

        options = load_options(device_map, max_memory, quantization)
        raise typer.Exit(check_thoroughly(model, device, dtype, options, tower, out, as_json))
    if out is not None:
        raise ModelError(
            f"asked for a page at {out}; only --thorough writes one: say --thorough, or leave out --out"
        )
    from headscope.models.proofs.full import prove
    from headscope.models.vlm import load_model, proof_or_refusal

    options = load_options(device_map, max_memory, quantization, image_backend, attention)
    towers = tuple(dict.fromkeys(("decoder", tower)))
    family = ""
    try:
        vlm = load_model(model, device, dtype, prove=False, towers=towers, **options)
        family = vlm.family
        vlm.proof = proof_or_refusal(vlm, prove)
    except HeadscopeError as exc:
        if as_json:
            _print_json({**_entry(family, "REFUSED", str(exc), {}), "model": model})
        raise
    entry = _entry(family, vlm.proof.status, vlm.proof.reason, vlm.proof.to_json())
    if as_json:
        _print_json({**entry, "model": model})
    else:
        _show_proof(vlm, entry)


@models_app.command()
def merge(
    adapter: Annotated[Path, typer.Argument(help="Folder of an adapter made with PEFT (LoRA and its like).")],
    out: Annotated[Path, typer.Option("--out", help="New checkpoint folder.")],
    base: Annotated[
        str | None, typer.Option("--base", help="Its base model; by default the one that it names.")
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")] = "auto",
) -> None:
    """Merge an adapter with its base model into an ordinary checkpoint. Needs the package peft."""
    from headscope.models.adapters import merge_adapter

    tell(str(merge_adapter(adapter, out, base, dtype)))


def families() -> list[SurveyedFamily]:
    """The rows of the survey that ships with the package, by family.

    Raises:
        StoreError: the survey is not there, or not what it should be.
    """
    return sorted(load(), key=lambda row: (row.family, row.status, row.reason))


def model_options(
    device_map: str | None,
    max_memory: str | None,
    quantization: str | None,
    tower: str = "decoder",
    image_backend: str = "auto",
    attention: str | None = None,
) -> ModelOptions | None:
    """The options as a study takes them; None if none was given.

    Raises:
        ModelError: text that cannot be understood.
    """
    options: ModelOptions = {**load_options(device_map, max_memory, quantization, image_backend, attention)}
    if tower != "decoder":
        options["tower"] = tower
    return options or None


def load_options(
    device_map: str | None,
    max_memory: str | None,
    quantization: str | None,
    image_backend: str = "auto",
    attention: str | None = None,
) -> LoadOptions:
    """The options as ``load_model`` takes them.

    Raises:
        ModelError: text that cannot be understood.
    """
    options: LoadOptions = {}
    if device_map is not None:
        options["device_map"] = _read_map(device_map)
    if max_memory is not None:
        pairs = [part.strip().partition("=") for part in max_memory.split(",")]
        if not all(name and amount for name, _, amount in pairs):
            raise ModelError(f"--max-memory {max_memory!r}: expected device=amount, as in 0=20GiB,cpu=60GiB")
        options["max_memory"] = {name: amount for name, _, amount in pairs}
    if quantization is not None:
        options["quantization"] = quantization
    if attention is not None:
        options["attention"] = attention
    if image_backend != "auto":
        options["image_backend"] = image_backend
    return options


def _read_map(text: str) -> str | dict[str, str | int]:
    path = Path(text)
    if path.suffix != ".json" and not path.is_file():
        return text
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelError(f"--device-map {text}: cannot be read as JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise ModelError(f"--device-map {text}: expected an object, module name -> device")
    return found


def _print_json(value: Any) -> None:
    tell(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    """NaN, the figure of a step that was not measured, as null."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Entry(TypedDict):
    """What is shown of a family or a model; ``proofs``: step -> its figure, status or account."""

    family: str
    status: str
    reason: str
    proofs: Mapping[str, Any]


def _entry(family: str, status: str, reason: str, proofs: Mapping[str, Any]) -> _Entry:
    return {"family": family, "status": status, "reason": reason, "proofs": proofs}


def _family_table(rows: Sequence[SurveyedFamily]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table("family", "status", "proved", "what is not, and why; what to know")
    for row in rows:
        status = f"[{_COLOURS.get(row.status, 'white')}]{escape(row.status)}[/]"
        table.add_row(escape(row.family), status, escape(_steps(row.proofs)), escape(row.reason))
    return table


def _steps(proofs: Mapping[str, Any]) -> str:
    """Which steps of the proof held, in few words; ``heads`` is no step but says what was found."""
    steps = [name for name in proofs if name != "heads" and proofs[name] != _LATER]
    lost = [name for name in steps if not _held(proofs[name])]
    if len(lost) == len(steps):
        return "none"
    return f"all but {', '.join(lost)}" if lost else "all"


def _held(found: Any) -> bool:
    """A step that held: a figure (survey), or a mapping that says so (proof of a model)."""
    if isinstance(found, Mapping):
        return bool(found["status"] == "held")
    return isinstance(found, int | float)


def _show_proof(vlm: VLM, entry: _Entry) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    places = ", ".join(sorted(set(vlm.placement.values())))
    console.print(escape(f"{vlm.name}: {vlm.family}, {vlm.dtype}, on {places}; {vlm.geometry.summary()}"))
    console.print(f"pictures read with {vlm.image_backend}")
    table = Table("step", "", "what was shown, or why not", "figure")
    for name, found in entry["proofs"].items():
        held, figure = _held(found), found.get("figure")
        text = found["shown"] if held else found["reason"]
        number = f"{figure:.3g}" if held and figure is not None else ""
        table.add_row(escape(name), escape(found["status"]), escape(text), number)
    console.print(table)
    console.print(escape(f"{entry['status']}{': ' if entry['reason'] else ''}{entry['reason']}"))
