"""headscope: its reader, its edit, its generation, each on the encoded inputs."""

import torch
from common import HEAD, LAYER, NEW, Bench, run


def prepare(bench: Bench) -> dict:
    from headscope.asking.readouts import Reader
    from headscope.edits.edits import edit, mute
    from headscope.models.answering.generation import greedy_config
    from headscope.models.types import Encoded
    from headscope.models.vlm import load_model

    vlm = load_model(bench.folder)
    ids = bench.inputs["input_ids"]
    image = ids == vlm.image_token_id
    encoded = Encoded(dict(bench.inputs), image, torch.zeros_like(image), ids.shape[1], [])
    (head,) = [h for h in vlm.geometry.heads if (h.layer, h.head) == (LAYER, HEAD)]
    config = greedy_config(vlm, NEW)
    config.min_new_tokens = NEW

    def capture() -> torch.Tensor:
        reader = Reader(vlm.geometry, ["prompt_last"])
        with vlm.reading(encoded), reader.attached():
            logits = vlm.model(**bench.inputs).logits
        z = reader.pooled(logits[:, -1:].argmax(-1), vlm.end_ids, None)["prompt_last"]
        return torch.from_numpy(z).reshape(len(z), bench.layers, -1).transpose(0, 1)

    def muted() -> torch.Tensor:
        with vlm.reading(encoded), edit(vlm, [head], mute()):
            return vlm.model(**bench.inputs).logits[:, -1]

    def generate() -> torch.Tensor:
        with vlm.reading(encoded):
            return vlm.model.generate(**bench.inputs, generation_config=config)[:, -NEW:]

    return {"capture": capture, "mute": muted, "generate": generate}


run(prepare)
