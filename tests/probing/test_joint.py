"""The joint probe: its importance is a derivative, and it finds what was planted and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headscope.errors import StudyError
from headscope.probing.joint import JointProbe, head_widths, importance, joint_probe
from probing.planted import plant

LAYERS = [0, 0, 0, 1, 1, 1]


def _small(planted, y=None, **more):
    return joint_probe(
        planted.z,
        planted.y if y is None else y,
        planted.images,
        layers=LAYERS,
        functions=3,
        shared=8,
        hidden=32,
        **more,
    )


def _random_probe(widths=(5, 5, 3), layers=(0, 0, 1)):
    torch.manual_seed(0)
    probe = JointProbe(widths, layers, functions=4, shared=6, hidden=10).double()
    z = torch.randn(7, len(widths), max(widths), dtype=torch.float64)
    for h, width in enumerate(widths):
        z[:, h, width:] = float("nan")
    probe.standardise(z.numpy())
    return probe, z


def test_importance_is_the_finite_difference_of_the_logit_when_a_heads_features_are_scaled() -> None:
    probe, z = _random_probe()
    y = np.array([0, 1, 2, 3, 0, 1, 2])
    found = probe.contributions(z.numpy(), y)
    step = 1e-5
    with torch.no_grad():
        features = probe.features(z)
        for head in range(3):
            change = torch.zeros_like(features)
            change[:, head] = features[:, head] * step
            slope = (probe.logits(features + change) - probe.logits(features - change)) / (2 * step)
            assert np.allclose(found[:, head], slope[np.arange(7), y].numpy(), rtol=1e-6, atol=1e-9)
    mean = importance(probe, z.numpy(), y, np.arange(7), draws=20).mean
    assert np.allclose(mean[1], found[y == 1].mean(0))


def test_a_heads_features_are_a_shared_projection_of_its_z_beside_its_layers_mean() -> None:
    probe, z = _random_probe()
    with torch.no_grad():
        level = (torch.nan_to_num(z) - probe.mean) / probe.spread
        wide, narrow = probe.project["5"], probe.project["3"]
        around = level[:, :2].mean(1)
        wanted = [wide(torch.cat([level[:, h], around], -1)) for h in (0, 1)]
        wanted.append(narrow(torch.cat([level[:, 2, :3]] * 2, -1)))
        assert torch.allclose(probe.features(z), torch.stack(wanted, 1))
    assert head_widths(z.numpy()) == [5, 5, 3]


def test_heads_of_a_layer_need_not_lie_side_by_side() -> None:
    probe, z = _random_probe((5, 3, 5), (0, 1, 0))
    other, _ = _random_probe((5, 5, 3), (0, 0, 1))
    other.load_state_dict(
        {**probe.state_dict(), "mean": probe.mean[[0, 2, 1]], "spread": probe.spread[[0, 2, 1]]}
    )
    assert torch.allclose(probe.features(z)[:, [0, 2, 1]], other.features(z[:, [0, 2, 1]]))


def test_the_planted_head_is_the_most_important_for_every_function(planted) -> None:
    trained = _small(planted, seed=1)
    fresh = plant(items=180, seed=8)
    found = importance(trained.probe, fresh.z, fresh.y, fresh.images)
    assert trained.probe.accuracy(fresh.z, fresh.y) > 0.7
    assert (np.abs(found.mean).argmax(1) == planted.head).all()
    assert (found.low[:, planted.head] > 0).all()
    assert (found.low <= found.mean).all()
    assert (found.mean <= found.high).all()


def test_shuffled_labels_leave_the_probe_at_chance(planted) -> None:
    shuffled = np.random.default_rng(0).permutation(planted.y)
    trained, fresh = _small(planted, shuffled, seed=1), plant(items=600, seed=8)
    assert abs(trained.probe.accuracy(fresh.z, fresh.y) - 1 / 3) < 0.12


def test_training_is_repeatable_and_stops_early(planted) -> None:
    once, again = _small(planted, seed=3, rate=0.01), _small(planted, seed=3, rate=0.01)
    assert once.loss == again.loss
    assert (once.probe.predict(planted.z) == again.probe.predict(planted.z)).all()
    assert len(once.loss) < 60
    assert once.epochs == int(np.argmin(once.loss)) + 1


def test_training_leaves_the_global_random_state_alone(planted) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    _small(planted, epochs=1)
    assert torch.equal(torch.rand(1), wanted)


class _Counted:
    """An array that notes how many numbers are fetched from it at a time, as one mapped from disk."""

    def __init__(self, z) -> None:
        self.z, self.shape, self.most = z, z.shape, 0

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, key):
        found = self.z[key]
        self.most = max(self.most, found.size)
        return found


def test_steps_are_fetched_in_parts_and_the_numbers_are_those_of_an_array_in_memory() -> None:
    made = plant(items=1800, heads=40, seed=3)
    counted = _Counted(made.z.copy())
    counted.z.setflags(write=False)  # as mapped from disk; torch must not be told to write there
    kinds = {"layers": [0] * 40, "functions": 3, "shared": 4, "hidden": 8, "epochs": 2, "seed": 2}
    whole = joint_probe(made.z, made.y, made.images, **kinds)
    parts = joint_probe(counted, made.y, made.images, **kinds)
    assert parts.loss == whole.loss
    assert parts.probe.accuracy(counted, made.y) == whole.probe.accuracy(made.z, made.y)
    learnt = parts.probe.contributions(counted, made.y)
    assert (learnt == whole.probe.contributions(made.z, made.y)).all()
    assert counted.most <= made.z.size / 2


def test_the_loss_that_stops_training_is_the_mean_cross_entropy_of_images_held_out() -> None:
    made = plant(items=3600, seed=5)  # more held-out steps than fit into one batch of 512
    trained = _small(made, epochs=1, seed=4)
    images = np.unique(made.images, return_inverse=True)[1]
    aside = np.random.default_rng(4).permutation(600)[:90]
    held = np.isin(images, aside)
    z, y = torch.as_tensor(made.z[held]), torch.as_tensor(made.y[held])
    with torch.no_grad():
        wanted = torch.nn.functional.cross_entropy(trained.probe(z).double(), y).item()
    assert held.sum() == 540
    assert trained.loss == [pytest.approx(wanted, abs=1e-6)]


def test_functions_without_steps_have_no_importance_and_one_image_is_too_few(planted) -> None:
    trained = _small(planted, epochs=1)
    mine = planted.y == 1
    found = importance(trained.probe, planted.z[mine], planted.y[mine], planted.images[mine], draws=20)
    assert np.isnan(found.mean[[0, 2]]).all()
    assert np.isfinite(found.mean[1]).all()
    with pytest.raises(StudyError, match="at least 2"):
        joint_probe(planted.z, planted.y, ["a"] * 360, layers=LAYERS, functions=3)
