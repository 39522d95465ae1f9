"""Where weights go and in what form: the options, checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from typing import Any, TypedDict, cast

import torch
from torch import nn

from headscope.errors import ModelError

DTYPES = ("float32", "bfloat16", "float16", "auto")
TOWERS = ("decoder", "vision")
QUANTIZATIONS = ("8bit", "4bit")
MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3", "flex_attention")


DeviceMap = Mapping[str, str | int]
"""Name of a module or weight -> device: ``cuda:1``, 1, ``cpu``, ``disk``."""

MaxMemory = Mapping[str, str | int] | Mapping[int, str | int] | Mapping[str | int, str | int]
"""Device -> most bytes, as a number or text: ``{0: "20GiB", "cpu": "60GiB"}``."""


class LoadOptions(TypedDict, total=False):
    """Options of :func:`headscope.models.vlm.load_model` beside device and number format, in plain values."""

    device_map: str | dict[str, str | int]
    max_memory: dict[str, str | int]
    quantization: str
    attention: str
    image_backend: str


class ModelOptions(LoadOptions, total=False):
    """The same with the tower, as the command line and studies are given them."""

    tower: str


@dataclass(frozen=True)
class Placement:
    """Where weights go and in what form.

    Attributes:
        device: as torch names it ("cpu", "cuda", "cuda:1", ...), or "auto"; the whole model goes there.
        dtype: one of ``DTYPES``.
        device_map: instead of ``device``, one of ``MAPS``, or module name -> device ("cuda:1", 1, "cpu",
            "disk"); layers then sit on several devices (transformers and accelerate see to it).
        max_memory: device -> most bytes, as a number or text ("20GiB"), for the named maps.
        quantization: one of ``QUANTIZATIONS`` (bitsandbytes), or None.
        attention: one of ``ATTENTIONS``; None: what the configuration names, else transformers' choice.

    Raises:
        ModelError: options that do not exist, or not together, or not on this machine.
    """

    device: str = "cpu"
    dtype: str = "float32"
    device_map: str | DeviceMap | None = None
    max_memory: MaxMemory | None = None
    quantization: str | None = None
    attention: str | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ModelError(f"asked for dtype {self.dtype!r}; there are: {', '.join(DTYPES)}")
        if self.quantization not in (None, *QUANTIZATIONS):
            raise ModelError(
                f"asked for quantization {self.quantization!r}; there are: {', '.join(QUANTIZATIONS)}"
            )
        if self.attention not in (None, *ATTENTIONS):
            raise ModelError(f"asked for attention {self.attention!r}; there are: {', '.join(ATTENTIONS)}")
        if self.quantization == "8bit" and self.dtype == "float32":
            raise ModelError(
                "quantization '8bit' multiplies in half precision; say dtype 'float16' or 'bfloat16' with it"
            )
        if self.device_map is not None and self.device != "cpu":
            raise ModelError(
                f"asked for device {self.device!r} and a device map, which places all parts: give one of them"
            )
        if self.max_memory is not None and not isinstance(self.device_map, str):
            raise ModelError(f"max_memory needs a device map that is made by it: {', '.join(MAPS)}")
        self._check_map()

    def _check_map(self) -> None:
        if isinstance(self.device_map, str):
            if self.device_map not in MAPS:
                raise ModelError(
                    f"asked for device map {self.device_map!r}; there are: {', '.join(MAPS)}, or a "
                    "mapping of module names to devices"
                )
        elif self.device_map is not None:
            for place in self.device_map.values():
                if place != "disk":
                    device_named(place)
        if self.device_map is not None:
            need("accelerate", f"device map {self.device_map!r}")
        if self.quantization is not None:
            need("accelerate", f"quantization {self.quantization!r}")
            need("bitsandbytes", f"quantization {self.quantization!r}")


@dataclass(frozen=True)
class RecordedOptions:
    """What a study records about how its model is loaded, beside device and dtype; plain values only."""

    device_map: str | dict[str, str | int] | None = None
    max_memory: dict[str, str | int] | None = None
    quantization: str | None = None
    attention: str | None = None
    tower: str = "decoder"
    image_backend: str = "auto"

    @classmethod
    def of(cls, given: ModelOptions | None) -> ModelOptions | None:
        """The options that differ from their defaults, checked; None if there are none.

        Raises:
            ModelError: an option that does not exist, or a tower that cannot be probed.
        """
        known = [f.name for f in fields(cls)]
        other = sorted(set(given or {}) - set(known))
        if other:
            raise ModelError(f"asked for model option {other[0]!r}; there are: {', '.join(known)}")
        chosen = {k: v for k, v in asdict(cls(**(given or {}))).items() if v is not None}
        if (tower := chosen.pop("tower")) not in TOWERS:
            raise ModelError(f"asked for tower {tower!r}; there are: {', '.join(TOWERS)}")
        if tower != "decoder":
            raise ModelError(
                "asked for a study of another tower than the decoder; what vision heads put out depends on "
                "the picture alone, never on the question, so no function of a step can be read from them; "
                "`headscope models check MODEL --tower vision` proves them, and edit() acts on them in "
                "Python: load_model(..., towers=('decoder', 'vision'))"
            )
        if chosen["image_backend"] == "auto":
            del chosen["image_backend"]
        if "max_memory" in chosen:
            chosen["max_memory"] = {str(k): v for k, v in chosen["max_memory"].items()}
        return cast(ModelOptions, chosen) or None


def device_named(device: Any) -> torch.device:
    """A device that is there; "auto" is the first GPU, or the CPU.

    Raises:
        ModelError: no such device here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as exc:
        raise ModelError(f"device {device!r} is not available: {str(exc).splitlines()[0]}; try cpu") from exc
    return place


def need(package: str, what: str) -> None:
    """Refuse what an optional package would do, with the line that installs it.

    Raises:
        ModelError: the package is not installed.
    """
    if find_spec(package) is None:
        raise ModelError(f"{what} needs the package {package}, which is not installed: pip install {package}")


def spread(model: nn.Module, places: DeviceMap) -> dict[str, str | int]:
    """A device map in which no part lies within another, so that "" may stand for the rest.

    transformers ignores names that there are not, and guesses a place for what is left out; both are refused.

    Args:
        model: the model, on the meta device.
        places: module or parameter name -> device.

    Raises:
        ModelError: a name that the model does not have, or a weight without a place.
    """
    modules = [n for n, _ in model.named_modules()]
    strange = next((n for n in places if n not in {*modules, *_weights(model)}), None)
    if strange is not None:
        raise ModelError(
            f"device map: {type(model).__name__} has no part {strange!r}; it has, for instance, "
            f"{', '.join(modules[1:4])}"
        )
    found: dict[str, str | int] = {}
    for name, place in _walk(model, "", None, places):
        if place is None:
            raise ModelError(
                f"device map: gives no device for {name!r}; add it, a part that holds it, or '' for the rest"
            )
        found[name] = place
    return found


def _weights(module: nn.Module) -> list[str]:
    return [n for n, _ in (*module.named_parameters(), *module.named_buffers())]


def _walk(
    module: nn.Module, name: str, place: str | int | None, places: DeviceMap
) -> Iterator[tuple[str, str | int | None]]:
    """(part, device): the largest parts that lie whole in one place and hold weights."""
    place = places.get(name, place)
    prefix = f"{name}." if name else ""
    if place is not None and not any(n != name and n.startswith(prefix) for n in places):
        if _weights(module):
            yield name, place
        return
    for child, part in module.named_children():
        yield from _walk(part, prefix + child, place, places)
    for own in (*module._parameters, *module._buffers):
        yield prefix + own, places.get(prefix + own, place)
