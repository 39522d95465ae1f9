"""Image-text-to-text classes that no release of transformers has, their parts called as nobody calls them.

One that reads a picture and answers; the same with attention computed by plain products; and ones that fail
in ways of their own. Each is registered with transformers' auto maps, as a library of models does it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    GenerationMixin,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

UNITS, BREADTH = 4, 12


class Weave(nn.Module):
    """Attention of four heads as wide together as the hidden states, so that no width tells its parts."""

    def __init__(self, config: Any, number: int, causal: bool) -> None:
        super().__init__()
        self.config, self.number, self.is_causal = config, number, causal
        self.ask, self.seek, self.tell, self.open, self.knit = (
            nn.Linear(config.girth, config.girth) for _ in range(5)
        )

    def forward(self, threads: Tensor, mask: Tensor | None = None, past: Any = None) -> Tensor:
        q, k, v = (
            part(threads).unflatten(-1, (UNITS, BREADTH)).transpose(1, 2)
            for part in (self.ask, self.seek, self.tell)
        )
        if past is not None:
            k, v = past.update(k, v, self.number)
        if self.config.by_products:
            scores = q @ k.transpose(-1, -2) * BREADTH**-0.5
            if mask is not None:
                scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
            woven = (scores.softmax(-1) @ v).transpose(1, 2)
        else:
            function = ALL_ATTENTION_FUNCTIONS["sdpa"]
            woven, _ = function(self, q, k, v, mask, scaling=BREADTH**-0.5, is_causal=self.is_causal)
        gate = torch.sigmoid(self.open(threads))
        return self.knit(woven.flatten(-2) * gate)


class Ply(nn.Module):
    """A layer."""

    def __init__(self, config: Any, number: int, causal: bool = True) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(config.girth), nn.LayerNorm(config.girth)
        self.weave = Weave(config, number, causal)
        self.press = nn.Sequential(
            nn.Linear(config.girth, 2 * config.girth), nn.GELU(), nn.Linear(2 * config.girth, config.girth)
        )

    def forward(self, threads: Tensor, mask: Tensor | None = None, past: Any = None) -> Tensor:
        threads = threads + self.weave(self.first(threads), mask, past)
        return threads + self.press(self.second(threads))


class MadeUpConfig(PretrainedConfig):
    """Sizes under names of its own."""

    model_type = "made_up"

    def __init__(
        self,
        girth: int = UNITS * BREADTH,
        plies: int = 3,
        words_known: int = 160,
        picture_token_id: int = 150,
        by_products: bool = False,
        **rest: Any,
    ) -> None:
        self.girth, self.plies, self.words_known = girth, plies, words_known
        self.picture_token_id, self.by_products = picture_token_id, by_products
        super().__init__(**rest)

    @property
    def vocab_size(self) -> int:
        return self.words_known

    @property
    def num_hidden_layers(self) -> int:
        return self.plies


class MadeUp(PreTrainedModel, GenerationMixin):
    """Sixteen pieces of a picture stand for its image tokens; a causal decoder reads them with the words."""

    config_class = MadeUpConfig
    _supports_sdpa = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.words_known, config.girth)
        self.places = nn.Embedding(256, config.girth)
        self.retina = nn.Linear(3 * 4 * 4, config.girth)
        self.look = nn.ModuleList([Ply(config, i, causal=False) for i in range(2)])
        self.cloth = nn.ModuleList([Ply(config, i) for i in range(config.plies)])
        self.speak = nn.Linear(config.girth, config.words_known)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def get_image_features(self, pixel_values: Tensor) -> Tensor:
        pieces = pixel_values.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5)
        pieces = pieces.flatten(3).flatten(1, 2)
        threads = self.retina(pieces)
        for ply in self.look:
            threads = ply(threads)
        return threads

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        past = kwargs.pop("cache", past_key_values)
        if use_cache and past is None:
            past = DynamicCache()
        threads = self.words(input_ids)
        if pixel_values is not None:
            place = (input_ids == self.config.picture_token_id).unsqueeze(-1)
            pieces = self.get_image_features(pixel_values).to(threads)
            threads = threads.masked_scatter(place, pieces)
        start = 0 if past is None else past.get_seq_length()
        if position_ids is None:
            position_ids = torch.arange(start, start + input_ids.shape[1])[None]
        threads = threads + self.places(position_ids)
        mask = self._mask(input_ids.shape, start, attention_mask)
        for ply in self.cloth:
            threads = ply(threads, mask, past)
        return CausalLMOutputWithPast(logits=self.speak(threads), past_key_values=past)

    def _mask(self, shape: Any, start: int, attended: Tensor | None) -> Tensor:
        length = start + shape[1]
        mask = torch.ones(shape[1], length, dtype=torch.bool).tril(start)[None, None]
        if attended is not None:
            own = torch.eye(shape[1], length, dtype=torch.bool)[None, None] if not start else False
            mask = mask & attended[:, None, None, :length].bool() | own  # padding sees itself, not nothing
        return mask


def config_like(model_type: str, **defaults: Any) -> Any:
    """A configuration class of another model type."""

    def init(self: Any, **rest: Any) -> None:
        MadeUpConfig.__init__(self, **{**defaults, **rest})

    name = "".join(part.capitalize() for part in model_type.split("_"))
    return type(f"{name}Config", (MadeUpConfig,), {"model_type": model_type, "__init__": init})


class Closed(MadeUp):
    """Cannot be built."""

    config_class = config_like("made_up_closed")

    def __init__(self, config: Any) -> None:
        raise RuntimeError("this class wants\na key")


class CrookedConfig(MadeUpConfig):
    model_type = "made_up_crooked"

    def __init__(self, **rest: Any) -> None:
        raise ZeroDivisionError("sizes over nothing")


class Crooked(MadeUp):
    """Its configuration cannot be built."""

    config_class = CrookedConfig


class Endless(MadeUp):
    """Large, under sizes of unknown names."""

    config_class = config_like("made_up_endless", words_known=2_000_000)


class Tantrum(Exception):
    """An error of the class's own kind, that says nothing."""


class Raging(MadeUp):
    """Its forward always fails."""

    config_class = config_like("made_up_raging")

    def forward(self, input_ids: Tensor, pixel_values: Tensor | None = None, **kwargs: Any) -> Any:
        raise Tantrum


class Fickle(MadeUp):
    """Its forward fails in the middle of the proof."""

    config_class = config_like("made_up_fickle")
    forwards = 0

    def forward(self, *args: Any, **kwargs: Any) -> CausalLMOutputWithPast:
        self.forwards += 1
        if self.forwards > 1:
            raise StopIteration("enough")
        return super().forward(*args, **kwargs)


class Mute(MadeUp):
    """Puts out something else than logits."""

    config_class = config_like("made_up_mute")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*args, **kwargs).logits


class Twofold(MadeUp):
    """Runs each layer twice, so that there is no single output of a head."""

    config_class = config_like("made_up_twofold")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.cloth = nn.ModuleList([*self.cloth, self.cloth[0]])


CLASSES = (MadeUp, Closed, Crooked, Endless, Raging, Fickle, Mute, Twofold)


def register() -> None:
    """Enter all of them in transformers' auto maps."""
    for model_class in CLASSES:
        config_class = model_class.config_class
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoModelForImageTextToText.register(config_class, model_class, exist_ok=True)
