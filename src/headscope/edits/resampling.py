"""Resample ablation of any prompt: heads say what they say on another prompt of a reference set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from headscope.edits.hooks import only_this_thread
from headscope.edits.patching import Patch, prompt_z, sites_of
from headscope.errors import EditError
from headscope.models.geometry import Head, Site
from headscope.models.types import Encoded, Frame
from headscope.models.vlm import VLM

MOST = 32  # prompts of which z is kept


@dataclass(frozen=True, eq=False)
class Donor:
    """One prompt of the reference.

    Attributes:
        encoded: the prompt alone.
        z: site -> (position, heads x width of that layer), on the CPU.
    """

    encoded: Encoded
    z: Mapping[Site, Tensor]


def donors_of(vlm: VLM, prompts: Sequence[Encoded], heads: Sequence[Head], seed: int) -> list[Donor]:
    """z of these prompts, of ``MOST`` drawn among them where there are more.

    Raises:
        EditError: a layer that does not read every position of a prompt.
    """
    drawn = np.random.default_rng(seed).permutation(len(prompts))[:MOST]
    found = []
    for number in sorted(drawn.tolist()):
        z = prompt_z(vlm, prompts[number], heads)
        partly = next((s for s, values in z.items() if values.shape[1] != prompts[number].length), None)
        if partly is not None:
            raise EditError(
                f"resample: {partly.tower} layer {partly.layer} does not read every position of a prompt of "
                f"{prompts[number].length}; name heads of other layers"
            )
        found.append(Donor(prompts[number], {site: values[0].cpu() for site, values in z.items()}))
    return found


@dataclass(eq=False)
class Resample:
    """Heads whose z is that of another prompt, drawn for each prompt that is read.

    At scope ``last`` any prompt of the reference will do; at the other scopes one with as many positions, and
    the picture and the question at the same ones. A prompt whose z is the same (the very prompt that is read)
    is passed over. Tokens of the answer keep their own z.

    Attributes:
        heads: heads touched, of the decoder.
        donors: the reference.
        scope: ``all``, ``image``, ``question`` or ``last``.
        seed: of the draw.
    """

    heads: tuple[Head, ...]
    donors: Sequence[Donor]
    scope: str
    seed: int
    _held: tuple[Frame, Patch] | None = field(default=None, repr=False)

    @contextmanager
    def applied(self, vlm: VLM) -> Iterator[None]:
        """Hold the edit until the block is left.

        Raises:
            EditError: when a prompt is read: no other prompt of the reference has its layout.
        """
        with ExitStack() as stack:
            for site in sites_of(vlm.geometry, self.heads):
                hook = self._hook(vlm, site)
                stack.callback(site.projection.register_forward_pre_hook(hook).remove)
            yield
        self._held = None

    def _hook(self, vlm: VLM, site: Site) -> Callable[[Any, tuple[Any, ...]], Any]:
        refuse_others = only_this_thread(vlm)

        def hook(module: Any, args: tuple[Any, ...]) -> Any:
            refuse_others()
            frame = vlm.frame
            if frame is None:
                raise EditError(
                    "resample: which prompt is read is not known; run the model inside "
                    "`with vlm.reading(encoded):`"
                )
            if self._held is None or self._held[0] is not frame:
                if frame.prompt_slice(args[0].shape[1]) is None:
                    raise EditError("resample: the edit began after the prompt was read; hold it from there")
                self._held = frame, self._patch(frame.encoded, site, args[0])
            patch = self._held[1]
            return patch.hook(vlm, site, [h.head for h in self.heads if vlm.geometry.site_of(h) is site])(
                module, args
            )

        return hook

    def _patch(self, encoded: Encoded, site: Site, own: Tensor) -> Patch:
        """The drawn prompts' z, each set where its item's prompt lies in the batch."""
        where = _positions(encoded, self.scope)
        times = own.shape[0] // encoded.items
        read = own[:, : encoded.length]  # behind it tokens of the answer
        drawn = [self._drawn(encoded, i, site, read[i * times, where[i]]) for i in range(encoded.items)]
        source = {
            s: torch.zeros(encoded.items, encoded.length, s.width, dtype=drawn[0].z[s].dtype)
            for s in drawn[0].z
        }
        for i, donor in enumerate(drawn):
            at = _positions(donor.encoded, self.scope)[0].cpu()
            for s, values in donor.z.items():
                source[s][i, where[i].cpu()] = values[at]
        return Patch(self.heads, {s: z.to(own.device) for s, z in source.items()}, where)

    def _drawn(self, encoded: Encoded, item: int, site: Site, own: Tensor) -> Donor:
        """The first prompt, in an order of the item's own, that has its layout and another z.

        Args:
            own: (position, heads x width) of the item at ``site``, at the positions of the scope.
        """
        for donor in self._order(encoded, item):
            if self.scope != "last" and _layout(donor.encoded, 0) != _layout(encoded, item):
                continue
            theirs = donor.z[site][_positions(donor.encoded, self.scope)[0].cpu()]
            if not _same(own.cpu(), theirs):
                return donor
        what = "another prompt" if self.scope == "last" else f"another prompt of {_said(encoded, item)}"
        raise EditError(
            f"resample: {what} is not among the {len(self.donors)} of the reference; give prompts that ask "
            "in the same words about pictures of the same size, or say scope='last'"
        )

    def _order(self, encoded: Encoded, item: int) -> list[Donor]:
        ids = encoded.inputs["input_ids"][item][_real(encoded, item)].tolist()
        digest = hashlib.sha256(f"{self.seed} {ids}".encode()).digest()
        order = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(len(self.donors))
        return [self.donors[i] for i in order]


def _real(encoded: Encoded, item: int) -> Tensor:
    """(position,) bool: what is no padding."""
    given = encoded.inputs.get("attention_mask")
    whole = torch.ones_like(encoded.inputs["input_ids"][item], dtype=torch.bool)
    return whole if given is None else given[item].bool()


def _positions(encoded: Encoded, scope: str) -> Tensor:
    """(item, position) bool of the decoder's prompt: where a scope is, padding left out."""
    found = torch.zeros(encoded.items, encoded.length, dtype=torch.bool, device=encoded.image.device)
    if scope == "last":
        found[:, -1] = True
    elif encoded.apart:
        found[:] = True
    else:
        real = torch.stack([_real(encoded, i) for i in range(encoded.items)])
        found = real & {"image": encoded.image, "question": encoded.question}.get(scope, real)
    return found


def _layout(encoded: Encoded, item: int) -> tuple[int | list[int], ...]:
    """How many positions a prompt has, and which are the picture's and the question's."""
    if encoded.apart:
        return (encoded.length,)
    real = _real(encoded, item)
    image, question = (
        mask[item][real].nonzero()[:, 0].tolist() for mask in (encoded.image, encoded.question)
    )
    return int(real.sum()), image, question


def _said(encoded: Encoded, item: int) -> str:
    pictured = 0 if encoded.apart else int(encoded.image[item].sum())
    return f"{_layout(encoded, item)[0]} positions, {pictured} of them the picture's,"


def _same(own: Tensor, other: Tensor) -> bool:
    """Whether two z differ by no more than rounding."""
    tolerance = float(torch.finfo(own.dtype).eps) ** 0.5 * float(own.abs().max())
    return bool((own - other.to(own.dtype)).abs().max() <= tolerance)
