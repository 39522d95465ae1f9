"""nnterp: nnsight with standardised names."""

import nnsight
import torch
from common import LAYER, NEW, Bench, run


def prepare(bench: Bench) -> dict:
    from nnterp import StandardizedTransformer
    from transformers import AutoModelForImageTextToText

    model = StandardizedTransformer(
        bench.folder, automodel=AutoModelForImageTextToText, check_renaming=False, device_map="cpu"
    )

    def capture() -> torch.Tensor:
        with model.trace(**bench.inputs):
            kept = nnsight.save([layer.self_attn.o_proj.input[:, -1].clone() for layer in model.layers])
        return torch.stack(list(kept))

    def mute() -> torch.Tensor:
        with model.trace(**bench.inputs):
            z = model.layers[LAYER].self_attn.o_proj.input.clone()
            z[..., bench.block] = 0
            model.layers[LAYER].self_attn.o_proj.input = z
            logits = model.logits[:, -1].save()
        return logits

    def generate() -> torch.Tensor:
        with model.generate(**bench.inputs, **bench.options) as tracer:
            out = tracer.result.save()
        return torch.as_tensor(out)[:, -NEW:]

    return {"capture": capture, "mute": mute, "generate": generate}


run(prepare)
