"""Patching: z of heads taken from another run of the same layout, position by position of the prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from headscope.edits.hooks import only_this_thread
from headscope.errors import EditError
from headscope.models.geometry import Geometry, Head, Site
from headscope.models.types import Encoded
from headscope.models.vlm import VLM


def prompt_z(
    vlm: VLM, encoded: Encoded, heads: Sequence[Head], under: Patch | None = None
) -> dict[Site, Tensor]:
    """What the output projections of these heads' layers receive while prompts are read.

    Args:
        under: a patch that holds meanwhile; z is what heads put out before it takes their place.

    Returns:
        site -> (item, position, heads x width of that layer), on the model's device.

    Example:
        >>> source = prompt_z(vlm, encoded, [Head(3, 1)])  # doctest: +SKIP
    """
    found: dict[Site, Tensor] = {}
    encoded = encoded.to(vlm.device)

    def keep(site: Site) -> Callable[[Any, tuple[Any, ...]], None]:
        def hook(_module: Any, args: tuple[Any, ...]) -> None:
            found[site] = args[0].detach().clone()

        return hook

    with ExitStack() as stack, torch.no_grad(), vlm.reading(encoded):
        for site in sites_of(vlm.geometry, heads):
            stack.callback(site.projection.register_forward_pre_hook(keep(site)).remove)
        if under is not None:
            stack.enter_context(under.applied(vlm))
        vlm.model(**encoded.inputs, use_cache=False)
    return found


@dataclass(frozen=True, eq=False)
class Patch:
    """Heads whose z is another run's at the prompt's positions; tokens of the answer keep their own.

    It is held while a batch is asked that has as many prompts, of as many positions, as the source.

    Attributes:
        heads: heads touched, of the decoder.
        source: what :func:`prompt_z` found, of as many prompts.
        positions: (item, position) bool, where z is replaced; None: at all positions of the prompt.

    Raises:
        EditError: when made: positions of another shape than the source; when applied: a head that the model
            or the source does not have; when the batch is read: prompts of another number or length than the
            source's.
    """

    heads: tuple[Head, ...]
    source: Mapping[Site, Tensor]
    positions: Tensor | None = None

    def __post_init__(self) -> None:
        for site, z in self.source.items():
            if self.positions is not None and self.positions.shape != z.shape[:2]:
                raise EditError(
                    f"patch: asked for positions {tuple(self.positions.shape)}; the source of {site.tower} "
                    f"layer {site.layer} has prompts and positions {tuple(z.shape[:2])}"
                )

    def sites(self, geometry: Geometry) -> list[tuple[Site, list[int]]]:
        """The layers that are touched, each with the numbers of its heads.

        Raises:
            EditError: a head that the model or the source does not have.
        """
        sites = sites_of(geometry, self.heads)
        lacking = [site for site in sites if site not in self.source]
        if lacking:
            raise EditError(
                f"patch: the source holds nothing of {lacking[0].tower} layer {lacking[0].layer}; take it "
                "with prompt_z(vlm, encoded, heads) of the same heads"
            )
        return [(s, [h.head for h in self.heads if geometry.site_of(h) is s]) for s in sites]

    @contextmanager
    def applied(self, vlm: VLM) -> Iterator[None]:
        """Hold the patch until the block is left; the weights are never touched."""
        with ExitStack() as stack:
            for site, heads in self.sites(vlm.geometry):
                hook = self.hook(vlm, site, heads)
                stack.callback(site.projection.register_forward_pre_hook(hook).remove)
            yield

    def hook(self, vlm: VLM, site: Site, heads: Sequence[int]) -> Callable[[Any, tuple[Any, ...]], Any]:
        """A forward pre-hook of a layer's projection: these heads of it get the source's z."""
        source, taken = self.source[site], head_columns(site, heads)
        refuse_others = only_this_thread(vlm)

        def hook(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            refuse_others()
            z: Tensor = args[0]
            frame, length = vlm.frame, source.shape[1]
            if frame is None or frame.prompt_length != length or frame.encoded.items != len(source):
                read = "no batch" if frame is None else f"{frame.encoded.items} of {frame.prompt_length}"
                raise EditError(
                    f"patch: the source has {len(source)} prompts of {length} positions, what is being read "
                    f"{read}; patch between prompts of one layout"
                )
            where = frame.prompt_slice(z.shape[1])
            if where is None:  # tokens of the answer
                return args
            times = frame.repeats(z.shape[0])
            rows = source[:, where].repeat_interleave(times, dim=0).to(z)
            swapped = taken.to(z.device)
            if self.positions is not None:
                held = self.positions[:, where].repeat_interleave(times, dim=0).to(z.device)
                swapped = held[..., None] & swapped
            edited, count = z.clone(), rows.shape[1]
            edited[:, :count] = torch.where(swapped, rows, z[:, :count])
            return (edited, *args[1:])

        return hook


class WithPrompt(Protocol):
    """What knows the prompt that was read: :class:`headscope.asking.read.Reading`."""

    @property
    def prompt(self) -> Encoded | None:
        """One prompt, encoded; None where it was not kept."""


@dataclass(frozen=True, eq=False)
class PatchSource:
    """A run whose z takes the place of another run's: what :func:`patch` makes, for :func:`edits.edit`.

    Attributes:
        prompt: of that run; it is read again where the edit begins, under the edits that hold then.
    """

    prompt: Encoded

    def onto(self, vlm: VLM, heads: tuple[Head, ...], scope: str) -> Patch:
        """The patch of these heads at the positions of a scope.

        Raises:
            EditError: scope ``answer``, whose tokens keep their own z, or one that there is not; a head that
                the model does not have.
        """
        where = {"image": self.prompt.image, "question": self.prompt.question}
        if scope == "last":
            last = torch.zeros_like(self.prompt.image)
            last[:, -1] = True
            where["last"] = last
        if scope != "all" and scope not in where:
            raise EditError(
                f"patch: asked for scope {scope!r}; there are all, image, question and last: tokens of the "
                "answer are the run's own"
            )
        z = prompt_z(vlm, self.prompt, heads)
        return Patch(heads, z, where[scope].to(vlm.device) if scope != "all" else None)


def patch(source: WithPrompt) -> PatchSource:
    """z of the same heads in another run, position by position of the prompt: what those heads carry there.

    Both prompts have to line up token by token: the same question about a picture of the same size. Where the
    two pictures differ in one fact, an answer that follows says that these heads carry it (activation
    patching; Meng and others, 2022; Zhang and Nanda, 2024).

    Args:
        source: what :func:`headscope.asking.read.read` found of the other run.

    Raises:
        EditError: it kept no prompt. When the edit begins, as :meth:`PatchSource.onto`; when a prompt is
            read, one of another length.

    Example:
        >>> import headscope as hs
        >>> vlm, cases = hs.load_model("embedded"), hs.draw_scenes("data", 1)
        >>> picture, ways = cases.image(cases[0]), ("left", "right")
        >>> question = "Which way does the dog look?"
        >>> mirrored = picture.transpose(0)  # left and right changed places
        >>> source = hs.read(vlm, mirrored, question, ways)
        >>> with hs.edit(vlm, vlm.geometry.heads, hs.patch(source)):
        ...     patched = hs.read(vlm, picture, question, ways)
        >>> hs.read(vlm, picture, question, ways).best, source.best, patched.best
        ('left', 'right', 'right')
    """
    if source.prompt is None:
        raise EditError("patch: the source kept no prompt; give what hs.read(vlm, picture, question) returns")
    return PatchSource(source.prompt)


def head_columns(site: Site, heads: Sequence[int]) -> Tensor:
    """(heads * width,) bool: the columns of the projection's input that these heads of the layer write."""
    columns = torch.zeros(site.n_heads, site.head_dim, dtype=torch.bool)
    columns[list(heads)] = True
    return columns.flatten()


def sites_of(geometry: Geometry, heads: Sequence[Head]) -> list[Site]:
    """The layers of these heads, each once.

    Raises:
        EditError: a head that the model does not have, or of another tower than the decoder, which alone sees
            the prompt's positions.
    """
    known = set(geometry.heads)
    for head in heads:
        if head not in known:
            raise EditError(f"patch: this model has no head {head}; it has {len(known)} heads")
        if head.tower != "decoder":
            raise EditError(
                f"patch: head {head} is of the {head.tower} tower, which sees no prompt positions"
            )
    return list(dict.fromkeys(geometry.site_of(h) for h in heads))
