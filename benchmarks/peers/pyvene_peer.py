"""pyvene: interventions on the projections' inputs, named by path."""

import copy

import torch
from common import LAYER, NEW, Bench, run


def prepare(bench: Bench) -> dict:
    import pyvene as pv

    # A copy, since it removes every other hook from its model, those of transformers itself among them, after
    # which this model's forward fails: the first call of each piece of work succeeds, the second does not.
    own = copy.deepcopy(bench.model)
    path = "model.language_model.layers[{}].self_attn.o_proj.input"
    last = bench.inputs["input_ids"].shape[1] - 1

    def collected() -> list:
        return [{"component": path.format(i), "intervention": pv.CollectIntervention()} for i in layers]

    def zeroed(base: torch.Tensor, _source: object) -> torch.Tensor:
        base = base.clone()
        base[..., bench.block] = 0
        return base

    layers = range(bench.layers)
    reader = pv.IntervenableModel(collected(), model=own)
    muter = pv.IntervenableModel([{"component": path.format(LAYER), "intervention": zeroed}], model=own)

    def capture() -> torch.Tensor:
        out = reader(base=dict(bench.inputs), unit_locations={"base": last})
        kept = out[0][1]
        return torch.stack([k.reshape(len(bench.inputs["input_ids"]), -1) for k in kept])

    def mute() -> torch.Tensor:
        _, out = muter(base=dict(bench.inputs))
        return out.logits[:, -1]

    def generate() -> torch.Tensor:
        out = reader.generate(
            base=dict(bench.inputs),
            unit_locations={"base": last},
            output_original_output=True,
            **bench.options,
        )
        tokens = out[0] if out[0] is not None else out[1]
        return torch.as_tensor(tokens)[:, -NEW:]

    return {"capture": capture, "mute": mute, "generate": generate}


run(prepare)
