"""A low-rank adapter by hand, of the module shape that PEFT gives it: a wrapper around each projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Linear(nn.Module):
    """``base_layer(x) + scale * B A x``; shows the base's ``weight`` and widths as its own, as PEFT does."""

    def __init__(self, base: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.base_layer = base
        self.in_features, self.out_features = base.in_features, base.out_features
        self.lora_A = nn.ModuleDict({"default": nn.Linear(base.in_features, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, base.out_features, bias=False)})
        self.scaling = {"default": scale}

    @property
    def weight(self) -> Tensor:
        return self.base_layer.weight

    @property
    def bias(self) -> Tensor | None:
        return self.base_layer.bias

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.lora_B["default"](self.lora_A["default"](x))
        return self.base_layer(x) + self.scaling["default"] * added

    def merged(self) -> nn.Linear:
        """The ordinary projection that computes the same."""
        low = self.lora_B["default"].weight @ self.lora_A["default"].weight
        with torch.no_grad():
            self.base_layer.weight += self.scaling["default"] * low
        return self.base_layer


def adapt(model: nn.Module, names: tuple[str, ...] = ("q_proj", "o_proj"), scale: float = 2.0) -> nn.Module:
    """Put adapters around the decoder's projections of these names; evaluation mode, weights drawn anew."""
    torch.manual_seed(5)
    for module in list(model.get_decoder().modules()):  # type: ignore[operator]
        for name, child in list(module.named_children()):
            if name in names and isinstance(child, nn.Linear):
                setattr(module, name, Linear(child, 3, scale))
    return model.eval()


def merge(model: nn.Module) -> nn.Module:
    """Take the adapters away, their effect put into the weights."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Linear):
                setattr(module, name, child.merged())
    return model
