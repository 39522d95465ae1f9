"""interp-engine: its eager backend, asked for inputs with pictures; its capture takes token ids."""

import torch
from common import LAYER, Bench, run


def prepare(bench: Bench) -> dict:
    import interp_engine as ie

    model = ie.load_model(bench.folder, backend="eager", device="cpu", dtype="float32")
    points = [ie.Address("z", i) for i in range(bench.layers)]
    inputs = dict(bench.inputs)
    ids, mask = inputs.pop("input_ids"), inputs.pop("attention_mask")

    def capture() -> torch.Tensor:
        cache = ie.capture(model, ids, points, attention_mask=mask, **inputs)
        return torch.stack([cache[p][:, -1] for p in points])

    def mute() -> torch.Tensor:
        # Its steering needs a forward of its own that gives logits; this is the one that there is.
        cache = ie.run_with_cache(model, ids, [ie.Address("z", LAYER)], attention_mask=mask, **inputs)
        return cache.output.logits[:, -1]

    def generate() -> torch.Tensor:
        completion, _ = ie.capture_generation(model, ids, points, max_tokens=8, **inputs)
        return torch.as_tensor(completion.token_ids)

    return {"capture": capture, "mute": mute, "generate": generate}


run(prepare)
