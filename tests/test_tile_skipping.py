"""The analysis of tile skipping: what is left out is within the bound, and what that costs is counted right."""

import pytest
import torch
from torch import Tensor

from test_docs import ROOT, load

skipping = load(ROOT / "benchmarks" / "tile_skipping.py")
N, V = 256, 2048


def batch(scale: float):
    p = (scale * torch.randn(N, V)).softmax(1)
    return skipping.Batch(p, p.multinomial(1)[:, 0])


def lost(one, dropped: Tensor) -> Tensor:
    """What each row loses of its probability, row by row."""
    p = one.p.clone()
    for row in range(N):
        for tile in range(V // 256):
            if not dropped[row // 128, tile]:
                p[row, 256 * tile : 256 * (tile + 1)] = 0.0
    return p.sum(1)


@pytest.mark.parametrize("scale", [0.1, 2.0, 6.0])
@pytest.mark.parametrize("most", [0.0, 0.02, 0.3, 1.0])
def test_no_row_loses_more_than_the_bound(scale: float, most: float) -> None:
    one = batch(scale)
    one.label[:] = one.label % 512  # so that six tiles hold no label
    dropped = skipping.bounded(one, most)
    masses = lost(one, dropped)
    assert masses.max() <= most + 1e-6
    assert not dropped.gather(1, one.label.view(2, 128) // 256).any()
    found = skipping.outcome(one, dropped)
    assert found.mass == pytest.approx(masses.max().item(), abs=1e-6)
    assert found.kept == 1 - dropped.double().mean()
    if most == 1.0:
        assert found.kept == 0.25
    if most == 0.0:
        assert (found.kept, found.classes, found.speed) == (1.0, 0.0, pytest.approx(6 / (2 + 4 / 0.85)))


def test_the_largest_tiles_that_fit_go() -> None:
    """Masses 0.1, 0.2, 0.3 and 0.4, the last with the label: the bound 0.3 takes the first two, and not the third."""
    p = torch.tensor([0.1, 0.2, 0.3, 0.4]).repeat_interleave(256).expand(128, -1) / 256
    one = skipping.Batch(p, torch.full((128,), 1000))
    assert skipping.bounded(one, 0.3 + 1e-6).tolist() == [[True, True, False, False]]
    assert skipping.bounded(one, 1.0).tolist() == [[True, True, True, False]]


def test_a_threshold_looks_at_every_entry() -> None:
    p = torch.full((128, 512), 1 / 512)
    one = skipping.Batch(p, torch.zeros(128, dtype=torch.int64))
    assert skipping.below(one, 1 / 500).tolist() == [[False, True]]  # the label's entry is p − 1
    p[7, 300] = 1 / 499
    assert not skipping.below(one, 1 / 500).any()


def test_classes_are_sorted_by_their_mean_logits() -> None:
    one = batch(1.0)
    found = one.sorted()
    means = found.p.log().mean(0)
    assert (means[:-1] >= means[1:]).all()
    assert found.nats == pytest.approx(one.nats, rel=1e-6)


def test_the_table_has_what_is_looked_at() -> None:
    lines = skipping.TABLE.read_text("utf-8").splitlines()
    assert len(lines) == 2 + 7 + 3
    assert all(line.count("|") == lines[0].count("|") for line in lines)
