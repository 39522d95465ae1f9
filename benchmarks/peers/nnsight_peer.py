"""nnsight: tracing around the same model object."""

import torch
from common import LAYER, NEW, Bench, run


def prepare(bench: Bench) -> dict:
    import nnsight
    from nnsight import TransformersModel

    model = TransformersModel(bench.folder, task="image-text-to-text", dispatch=True)
    layers = model.model.language_model.layers

    def capture() -> torch.Tensor:
        with model.trace(**bench.inputs):
            kept = nnsight.save([layer.self_attn.o_proj.input[:, -1].clone() for layer in layers])
        return torch.stack(list(kept))

    def mute() -> torch.Tensor:
        with model.trace(**bench.inputs):
            z = layers[LAYER].self_attn.o_proj.input.clone()
            z[..., bench.block] = 0
            layers[LAYER].self_attn.o_proj.input = z
            logits = model.lm_head.output[:, -1].save()
        return logits

    def generate() -> torch.Tensor:
        with model.generate(**bench.inputs, **bench.options) as tracer:
            out = tracer.result.save()
        return torch.as_tensor(out)[:, -NEW:]

    return {"capture": capture, "mute": mute, "generate": generate}


run(prepare)
