"""TransformerLens: the bridge around the same checkpoint."""

import torch
from common import LAYER, NEW, Bench, run


def prepare(bench: Bench) -> dict:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForImageTextToText

    held = AutoModelForImageTextToText.from_pretrained(
        bench.folder, local_files_only=True, attn_implementation="eager"
    ).eval()
    model = TransformerBridge.boot_transformers(bench.folder, hf_model=held, device="cpu")
    points = [f"blocks.{i}.attn.hook_z" for i in range(bench.layers)]
    inputs = dict(bench.inputs)
    ids = inputs.pop("input_ids")

    def capture() -> torch.Tensor:
        kept: list[torch.Tensor] = []  # layers run in order; hooks are called by other names than asked for

        def keep(z: torch.Tensor, hook: object) -> None:
            kept.append(z[:, -1].flatten(1).clone())

        model.run_with_hooks(ids, fwd_hooks=[(p, keep) for p in points], **inputs)
        return torch.stack(kept)

    def mute() -> torch.Tensor:
        def zero(z: torch.Tensor, hook: object) -> torch.Tensor:
            flat = z.flatten(2).clone()
            flat[..., bench.block] = 0
            return flat.view_as(z)

        return model.run_with_hooks(ids, fwd_hooks=[(points[LAYER], zero)], **inputs)[:, -1]

    def generate() -> torch.Tensor:
        out = model.generate(
            ids, max_new_tokens=NEW, do_sample=False, stop_at_eos=False, return_type="tokens", verbose=False,
            **inputs,
        )  # fmt: skip
        return out[:, -NEW:]

    return {"capture": capture, "mute": mute, "generate": generate}


run(prepare)
