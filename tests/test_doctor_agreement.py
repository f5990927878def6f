"""Both ways of looking, at run time and in source, say the same of the same lines."""

import contextlib
import warnings
from pathlib import Path

import pytest

from crossentropy import doctor
from crossentropy.doctor._source import examine

HEAD = """\
import torch, torch.nn as nn, torch.nn.functional as F
import crossentropy, crossentropy.functional as CF, crossentropy.nn as cnn
torch.manual_seed(0)
model, y, bits = nn.Linear(8, 5), torch.arange(6) % 5, torch.randint(0, 2, (6, 5)).float()
x = torch.randn(6, 8)
z = model(x)
"""

SOFTMAX = """\
z = z.softmax(1)
z = torch.softmax(z, 1)
z = F.softmax(z, dim=1)
z = torch.special.softmax(z, 1)
z = torch._softmax(z, 1, False)
z = nn.Softmax(1)(z)
z = F.softmin(z, dim=1)
z = nn.Softmin(1)(z)
z = CF.softmax(z, 1)
z = cnn.Softmax(1)(z)
z = nn.Softmax2d()(z[:, :, None, None])[:, :, 0, 0]
z = z.log_softmax(1).exp()
z = z.log_softmax(1).exp_()
e = z.exp(); z = e / e.sum(1, keepdim=True)
z = torch.exp(z - z.logsumexp(1, keepdim=True))
z = z.t().softmax(0).t()
z = torch.stack([row.softmax(0) for row in z])
"""
MOVED = """\
z = +z
z = z.positive()
z = z.unsqueeze(1).squeeze(1)
z = z.unsqueeze_(1).squeeze_(1)
z = z.unsqueeze(1); z.squeeze_(1)
z.unsqueeze_(1); z.squeeze_(1)
z.unsqueeze_(2); z.squeeze_()
w = z.unsqueeze_(0).squeeze_(0)
z = z.t_().t_()
z.t_(); z.t_()
z.transpose_(0, 1); z.transpose_(1, 0)
z.swapaxes_(0, 1); z.swapaxes_(1, 0)
z.swapdims_(0, 1); z.swapdims_(1, 0)
z = z.swapaxes(0, 1).swapaxes(0, 1)
z = z.swapdims(0, 1).swapdims(0, 1)
z = z.moveaxis(0, 1).moveaxis(0, 1)
z = z.movedim(0, 1).movedim(0, 1)
z = z.permute(1, 0).permute(1, 0)
z = z.mT.mT
z = z.T.T
z = z.H.H
z = z.adjoint().adjoint()
z = z.as_strided((6, 5), (5, 1))
z = z.view(30).view(6, 5)
z = z.ravel().reshape(6, 5)
z = z.flatten().unflatten(0, (6, 5))
z = z.clone().contiguous()
z = z.double().float()
z = z.to(torch.float64).to(torch.float32)
z = z.nan_to_num()
z = z.nan_to_num_()
z.nan_to_num_()
z = z.masked_fill(z > 100, 0.0)
z = z.masked_fill_(z > 100, 0.0)
z = F.dropout(z, 0.1)
F.dropout(z, 0.1, inplace=True)
F.dropout(z, 0.1, True, True)
nn.Dropout(0.1, inplace=True)(z)
z = F.alpha_dropout(z, 0.1)
z = torch.cat([z[:3], z[3:]])
z = torch.concatenate([z[:3], z[3:]])
z = torch.vstack([z[:3], z[3:]])
z = torch.stack(z.unbind(0))
z = torch.stack(z.unbind(1), 1)
z = torch.stack([z.select(0, i) for i in range(6)])
z = torch.cat(z.split(3))
z = torch.cat(z.chunk(2))
z = torch.cat(torch.tensor_split(z, 2))
z = z.index_select(0, torch.arange(6))
z = z[torch.arange(6)]
z = z.expand(6, 5)
z = z.expand_as(x[:, :5])
z = z.repeat(1, 1)
z = z.tile(1, 1)
z = z.narrow(0, 0, 6)
z = z.flip(0)
z = z.roll(1, 0)
z = z.detach()
z = z.detach_()
z.detach_()
z = torch.squeeze(z.unsqueeze(0), 0)
"""
SIGMOID = """\
z = z.sigmoid()
z = torch.sigmoid(z)
z = F.sigmoid(z)
z = nn.Sigmoid()(z)
z = torch.special.expit(z)
z = z.sigmoid_()
z.sigmoid_()
z = torch.sigmoid_(z)
torch.sigmoid_(z)
w = torch.sigmoid_(z)
z = 1 / (1 + torch.exp(-z))
z = (1 + (-z).exp()).reciprocal()
"""
RELU = """\
z = z.relu()
z.relu_()
z = torch.relu(z)
torch.relu_(z)
z = F.relu(z)
z = F.relu(z, inplace=True)
F.relu(z, inplace=True)
F.relu(z, True)
F.relu(input=z, inplace=True)
F.relu_(z)
z = nn.ReLU()(z)
nn.ReLU(inplace=True)(z)
nn.ReLU(True)(z)
z = F.relu6(z)
F.relu6(z, inplace=True)
z = nn.ReLU6()(z)
z = F.threshold(z, 0, 0)
z = F.threshold(z, threshold=0.0, value=0.0)
z = F.threshold(z, 0.5, 0)
F.threshold_(z, 0, 0)
F.threshold(z, 0, 0, inplace=True)
z = torch.threshold(z, 0, 0)
torch.threshold_(z, 0, 0)
z = nn.Threshold(0, 0)(z)
nn.Threshold(0, 0, True)(z)
z = F.hardtanh(z, 0, 6)
z = F.hardtanh(z, min_val=0, max_val=1)
F.hardtanh_(z, 0, 1)
z = nn.Hardtanh(0, 1)(z)
z = z.clamp(0)
z = z.clamp(min=0.0)
z = z.clamp(0, 6)
z.clamp_(min=0)
z = torch.clamp(z, min=0)
z = z.clamp_min(0)
z.clamp_min_(0)
z = z.clip(0)
z.clip_(min=0)
"""
NEITHER = """\
z = F.threshold(z, -5, -5)
z = F.threshold(z, 0, -1)
z = nn.Threshold(-5, -5)(z)
z = F.hardtanh(z)
z = nn.Hardtanh()(z)
z = z.clamp(-10, 10)
z = z.clamp_max(5)
z = z.tanh()
z.tanh_()
z = F.elu(z)
F.leaky_relu_(z)
z = nn.PReLU()(z)
z = F.gelu(z)
z = F.softplus(z)
z = F.logsigmoid(z)
z = z.exp()
z = z.abs_()
z = z.softmax(1).logit()
z = z.softmax(1).mul_(10)
z = z.softmax(1).neg()
z = z.add_(1)
z = F.normalize(z, p=1, dim=1)
z = F.layer_norm(z, (5,))
"""
LOG_SOFTMAX = """\
z = z.log_softmax(1)
z = torch.log_softmax(z, 1)
z = F.log_softmax(z, dim=1)
z = torch.special.log_softmax(z, 1)
z = CF.log_softmax(z, 1)
z = nn.LogSoftmax(1)(z)
z = z - z.logsumexp(1, keepdim=True)
z = z.sub(z.logsumexp(1, keepdim=True))
"""
LOG_OF_SOFTMAX = """\
z = z.softmax(1).log()
z = z.softmax(1).log_()
z = torch.log(z.softmax(1) + 1e-8)
z = z.softmax(1).clamp_min(1e-8).log()
"""
AXIS_0 = """\
z = z.log_softmax(0)
z = z.t().log_softmax(1).t()
z = z.log_softmax(-2)
z = z - z.logsumexp(0, keepdim=True)
"""
CROSS_ENTROPY, WITH_LOGITS = "F.cross_entropy(z, y)", "F.binary_cross_entropy_with_logits(z, bits)"
GROUPS = {
    "softmax": (SOFTMAX, "softmax-before-cross-entropy", "softmax-before-bce"),
    "moved": ("".join(f"z = z.softmax(1); {line}\n" for line in MOVED.splitlines()),
              "softmax-before-cross-entropy", "softmax-before-bce"),
    "sigmoid": (SIGMOID, "sigmoid-before-cross-entropy", "sigmoid-before-bce-with-logits"),
    "relu": (RELU, "relu-before-cross-entropy", None),
    "neither": (NEITHER, None, None),
    "moved logits": (MOVED, None, None),
    "log_softmax": (LOG_SOFTMAX, "log-softmax-before-cross-entropy", None),
    "log of softmax": (LOG_OF_SOFTMAX, "log-of-softmax", ...),
    "axis 0": (AXIS_0, "softmax-wrong-dim", None),
}  # fmt: skip
"""Lines, and what is wrong where they come before a cross entropy, or a binary one with logits; ... if not compared."""

OURS = {
    "CF.cross_entropy(z.softmax(1), y)": {"softmax-before-cross-entropy"},
    "cnn.CrossEntropyLoss()(z.softmax(1), y)": {"softmax-before-cross-entropy"},
    "CF.cross_entropy(z, y, token_weight=torch.ones(6), z_loss=1e-4, softcap=30.0)": set(),
    "CF.nll_loss(z.softmax(1), y)": {"softmax-before-nll"},
    "cnn.NLLLoss()(z.softmax(1), y)": {"softmax-before-nll"},
    "CF.kl_div(z.softmax(1), bits.softmax(1), reduction='sum')": {"kl-div-on-probabilities"},
    "cnn.KLDivLoss(reduction='batchmean')(z.softmax(1), bits.softmax(1))": {"kl-div-on-probabilities"},
    "CF.linear_cross_entropy(x, model.weight, y)": set(),
    "CF.linear_cross_entropy(x, model.weight, y, linear_bias=model.bias)": set(),
    "CF.linear_cross_entropy(x.relu(), model.weight, y)": set(),
    "CF.linear_cross_entropy(x.softmax(1), model.weight, y)": set(),
    "CF.linear_cross_entropy(input=x, linear_weight=model.weight, target=y)": set(),
    "CF.linear_cross_entropy(x.view(2, 3, 8), model.weight, y.view(2, 3))": set(),
    "CF.linear_cross_entropy(x, torch.randn(5, 8), torch.arange(6))": {"label-out-of-range"},
    "CF.linear_cross_entropy(x.view(2, 3, 8), torch.randn(5, 8), torch.arange(6).view(2, 3))": {"label-out-of-range"},
    "CF.linear_cross_entropy(x, model.weight, torch.arange(6))": {"label-out-of-range"},
    "CF.linear_cross_entropy(x, model.weight, y, weight=torch.ones(6))": {"class-weight-shape"},
    "CF.linear_cross_entropy(x, model.weight, y, label_smoothing=1.5)": {"label-smoothing-range"},
    "cnn.LinearCrossEntropyLoss(8, 5)(x, y)": set(),
    "cnn.LinearCrossEntropyLoss(in_features=8, num_classes=5)(x.relu(), y)": set(),
    "cnn.LinearCrossEntropyLoss(8, 5)(x.view(2, 3, 8), y.view(2, 3))": set(),
    "cnn.LinearCrossEntropyLoss(8, 5)(x, torch.arange(6))": {"label-out-of-range"},
    "CF.linear_kl_div(x, model.weight, x, torch.randn(5, 8))": set(),
    **{
        f"{loss}({{z}}, y)".format(z=z): found
        for loss in (
            *("CF.focal_loss", "CF.poly1_loss", "CF.generalized_cross_entropy"),
            *("cnn.FocalLoss()", "cnn.Poly1Loss(2.0)", "cnn.GeneralizedCrossEntropyLoss()"),
        )
        for z, found in {
            "z": set(),
            "z.softmax(1)": {"softmax-before-cross-entropy"},
            "z.sigmoid()": {"sigmoid-before-cross-entropy"},
            "z.relu()": {"relu-before-cross-entropy"},
        }.items()
    },
    "CF.focal_loss(z, y.float())": {"float-class-index"},
    "CF.focal_loss(z, y[:, None])": {"target-extra-dim"},
    "CF.focal_loss(z, torch.arange(6))": {"label-out-of-range"},
    "cnn.Poly1Loss()(z, torch.arange(6))": {"label-out-of-range"},
    "CF.focal_loss(x, y, linear_weight=model.weight)": set(),
    "CF.focal_loss(x.softmax(1), y, linear_weight=model.weight)": set(),
    "CF.focal_loss(x, torch.arange(6), linear_weight=model.weight)": {"label-out-of-range"},
    "CF.cosine_cross_entropy(x, model.weight, y)": set(),
    "CF.cosine_cross_entropy(x, model.weight, torch.arange(6))": {"label-out-of-range"},
    "cnn.CosineCrossEntropyLoss(8, 5)(x, y)": set(),
    "cnn.CosineCrossEntropyLoss(8, 5)(x, torch.arange(6))": {"label-out-of-range"},
    "CF.sampled_linear_cross_entropy(x, model.weight, y, num_samples=3)": set(),
    "CF.sampled_linear_cross_entropy(x, model.weight, torch.arange(6), num_samples=3)": {"label-out-of-range"},
    "CF.binary_cross_entropy_with_logits(z, bits)": set(),
    "CF.binary_cross_entropy_with_logits(z.sigmoid(), bits)": {"sigmoid-before-bce-with-logits"},
    "CF.binary_cross_entropy(z.sigmoid(), bits)": set(),
    "cnn.BCEWithLogitsLoss()(z.sigmoid(), bits)": {"sigmoid-before-bce-with-logits"},
    "cnn.BCELoss()(z, bits)": {"logits-into-bce"},
    **{
        f"{loss}({pair})": found
        for loss in (
            *("CF.kl_div_with_logits", "CF.reverse_kl_div_with_logits", "CF.js_div_with_logits"),
            *("cnn.KLDivWithLogitsLoss()", "cnn.JSDivWithLogitsLoss()"),
        )
        for pair, found in {
            "z, z.detach() + 1": set(),
            "z.softmax(1), z.detach()": {"softmax-before-cross-entropy"},
            "z, z.detach().softmax(1)": {"softmax-before-cross-entropy"},
            "z.sigmoid(), z.detach()": {"sigmoid-before-cross-entropy"},
            "z.log_softmax(1), z.detach().log_softmax(1)": set(),
        }.items()
    },
    "CF.row_loss(lambda s: -s.log_prob, z, y)": set(),
    "CF.row_loss(lambda s: -s.log_prob, z.softmax(1), y)": {"softmax-before-cross-entropy"},
    "CF.topk_kl_div_with_logits(z, *z.detach().log_softmax(1).topk(2)[::-1])": set(),
    "CF.topk_kl_div_with_logits(z.softmax(1), *z.detach().log_softmax(1).topk(2)[::-1])": {
        "softmax-before-cross-entropy"
    },
    "CF.linear_topk_kl_div(x, model.weight, *z.detach().log_softmax(1).topk(2)[::-1])": set(),
    "cnn.LinearKLDivLoss()(x, model.weight, x, torch.randn(5, 8))": set(),
    "cnn.LinearJSDivLoss()(x, model.weight, x, torch.randn(5, 8))": set(),
    "-CF.token_statistics(z, y).log_prob.mean()": set(),
    "-CF.token_statistics(x, y, linear_weight=model.weight).log_prob.mean()": set(),
    "crossentropy.information.cross_entropy(z.softmax(1), z.detach().softmax(1)).mean()": set(),
    "crossentropy.information.kl_divergence(z.softmax(1), z.detach().softmax(1)).mean()": set(),
}


def _found(lines: str, folder: Path) -> tuple[set[str], set[str]]:
    """The rules that a program breaks, as they are seen at run time and in source; certain ones, and hints."""
    script = folder / "train.py"
    script.write_text(lines, encoding="utf-8")
    refused = (RuntimeError, ValueError, IndexError)  # which is right where something is wrong
    with warnings.catch_warnings(), doctor.watch() as report, contextlib.suppress(*refused):
        warnings.simplefilter("ignore")
        exec(compile(lines, str(script), "exec"), {"__name__": "__main__"})
    at_run_time = {finding.rule for finding in report.findings if finding.confidence != "likely"}
    in_source = {finding.rule for finding in examine([script]).findings if finding.confidence != "likely"}
    return at_run_time, in_source


@pytest.mark.parametrize("group", GROUPS)
def test_operations_are_known_in_both_modes(group: str, tmp_path: Path) -> None:
    lines, *rules = GROUPS[group]
    wrong = []
    for line in lines.splitlines():
        for loss, rule in zip((CROSS_ENTROPY, WITH_LOGITS), rules, strict=True):
            found = _found(f"{HEAD}{line}\nloss = {loss}\n", tmp_path)
            expected = set[str]() if rule is None else {rule}
            if rule is not ... and found != (expected, expected):
                wrong.append((line, loss, *found))
    assert not wrong


def test_the_packages_own_losses_are_known_in_both_modes(tmp_path: Path) -> None:
    wrong = []
    for call, expected in OURS.items():
        found = _found(f"{HEAD}loss = {call}\nloss.backward()\n", tmp_path)
        if found != (expected, expected):
            wrong.append((call, *found))
    assert not wrong


def test_a_function_that_changes_its_argument_leaves_its_module_as_it_is(tmp_path: Path) -> None:
    lines = "torch.relu_(x)\nloss = F.cross_entropy(torch.softmax(z, 1), y)\n"
    assert _found(HEAD + lines, tmp_path) == ({"softmax-before-cross-entropy"},) * 2


def test_a_weight_that_is_set_without_gradients_is_trained_all_the_same(tmp_path: Path) -> None:
    lines = """\
with torch.no_grad():
    model.weight.mul_(0.5)
    nn.init.zeros_(model.bias)
loss = F.cross_entropy(x @ model.weight.T + model.bias, y)
loss.backward()
"""
    assert _found(HEAD + lines, tmp_path) == (set(), set())
