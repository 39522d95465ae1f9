from __future__ import annotations

import numpy as np
import torch

from edits.naive import double, slow_copy
from headscope.edits.means import head_means, steering_direction


def test_means_equal_a_float64_walk_over_every_prompt_position_that_is_no_padding(vlm, prompts):
    encoded = [vlm.encode(prompts), vlm.encode(prompts[:1])]
    seen: dict[tuple[int, int], list[np.ndarray]] = {}
    mask = None

    def note(layer, item, position, head, z):
        if mask[item, position]:
            seen.setdefault((layer, head), []).append(z.detach().numpy())
        return z

    slow = slow_copy(vlm, note)
    for batch in encoded:
        mask = batch.inputs["attention_mask"].bool()
        with torch.no_grad():
            slow(**double(batch.inputs))
    found = head_means(vlm, encoded)
    for head, row in zip(vlm.geometry.heads, found, strict=True):
        np.testing.assert_allclose(row, np.mean(seen[head.layer, head.head], axis=0), atol=1e-4)


def test_a_direction_leads_from_wrong_to_right_with_the_length_of_a_typical_z():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(40, 2, 3))
    correct = np.arange(40) % 2 == 0
    z[correct, 0] += [5.0, 0, 0]
    z[:, 1, 2] = np.nan  # a head of width 2
    found = steering_direction(z, correct)
    assert found.vectors is not None
    assert (found.right, found.wrong) == (20, 20)
    assert found.vectors[0, 0] / np.linalg.norm(found.vectors[0]) > 0.95
    for head in (0, 1):
        typical = np.mean([np.linalg.norm(np.nan_to_num(row)) for row in z[:, head]])
        np.testing.assert_allclose(np.linalg.norm(found.vectors[head]), typical)
    assert found.vectors[1, 2] == 0


def test_too_few_answers_of_a_kind_give_no_direction_and_a_reason():
    found = steering_direction(np.zeros((20, 2, 3)), np.arange(20) < 17)
    assert found.vectors is None
    assert "17 right and 3 wrong" in found.reason


def test_a_head_that_does_not_differ_gets_no_direction():
    z = np.ones((20, 1, 3))
    found = steering_direction(z, np.arange(20) < 10)
    assert found.vectors is not None
    assert not found.vectors.any()
