"""The rules: what goes wrong around a cross entropy, what it costs in numbers, and how it is mended.

Everything that finds a mistake, at run time or in source, names one of these. The numbers are for C classes.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Confidence: TypeAlias = Literal["certain", "likely", "info"]
CONFIDENCES: tuple[Confidence, ...] = ("certain", "likely", "info")
"""From the strongest to the weakest."""


BY_ROWS = "reduction='batchmean'"
"""What mends a divergence of (N, C)."""
UNDERFLOWS = (
    "−inf, and nan in the gradient, where a probability underflows, or, with a small number added, a loss that stops "
    "growing there; log_softmax is the same without that"
)
"""What the logarithm of a softmax costs, in the words of findings."""


@dataclass(frozen=True)
class Rule:
    """One mistake."""

    name: str
    meaning: str
    symptom: str
    """What is seen when it is made, in numbers where there are any."""
    fix: str
    wrong: str
    """An example, in code."""
    right: str
    """The same mended."""
    run: bool = True
    """Whether it can be seen at run time."""
    source: bool = True
    """Whether it can be seen in source."""
    harmless: bool = False
    """Whether the loss is right all the same: such findings are never more than "info"."""

    @property
    def remedy(self) -> str:
        """What to do, and a snippet that does it."""
        return f"{self.fix}\n{self.right}"

    @property
    def page(self) -> str:
        """Where the documentation describes it."""
        return f"reference/rules.html#{self.name}"


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "softmax-before-cross-entropy",
            "Probabilities are given to cross_entropy, which applies log_softmax itself.",
            "No loss below ln(1 + (C − 1)/e), 1.461 for 10 classes; gradients smaller by about a factor of C.",
            "Give it the logits: leave the softmax out, and apply it only where probabilities are shown.",
            "loss = F.cross_entropy(logits.softmax(1), labels)",
            "loss = F.cross_entropy(logits, labels)",
        ),
        Rule(
            "sigmoid-before-cross-entropy",
            "Sigmoid scores, between 0 and 1, are given to cross_entropy, which takes logits.",
            "No loss below ln(1 + (C − 1)/e), as for a softmax.",
            "Give it the logits: leave the sigmoid out. For independent labels use BCEWithLogitsLoss instead.",
            "loss = F.cross_entropy(logits.sigmoid(), labels)",
            "loss = F.cross_entropy(logits, labels)",
        ),
        Rule(
            "log-softmax-before-cross-entropy",
            "Log-probabilities are given to cross_entropy, which applies log_softmax itself.",
            "None: log_softmax of log-probabilities gives them back.",
            "Leave the log_softmax out, or use nll_loss.",
            "loss = F.cross_entropy(logits.log_softmax(1), labels)",
            "loss = F.cross_entropy(logits, labels)",
            harmless=True,
        ),
        Rule(
            "relu-before-cross-entropy",
            "The logits pass a ReLU last, so that none is negative.",
            "A class cannot be ruled out, and where all logits are 0 the loss is ln C without a gradient.",
            "Leave the last ReLU out.",
            "loss = F.cross_entropy(head(x).relu(), labels)",
            "loss = F.cross_entropy(head(x), labels)",
        ),
        Rule(
            "softmax-before-nll",
            "Probabilities are given to nll_loss, which takes log-probabilities.",
            "The loss lies between −1 and 0.",
            "Use log_softmax in place of softmax, or cross_entropy on the logits.",
            "loss = F.nll_loss(logits.softmax(1), labels)",
            "loss = F.nll_loss(logits.log_softmax(1), labels)",
        ),
        Rule(
            "logits-into-nll",
            "Logits are given to nll_loss, which takes log-probabilities.",
            "The loss falls without bound below 0.",
            "Use cross_entropy, or log_softmax before nll_loss.",
            "loss = F.nll_loss(logits, labels)",
            "loss = F.cross_entropy(logits, labels)",
        ),
        Rule(
            "log-of-softmax",
            "The logarithm of a softmax is taken in two steps.",
            "−inf, and then nan, where a probability underflows: in float32 from a logit 104 below the largest.",
            "Use log_softmax, or cross_entropy on the logits.",
            "loss = F.nll_loss(torch.log(logits.softmax(1)), labels)",
            "loss = F.nll_loss(logits.log_softmax(1), labels)",
        ),
        Rule(
            "sigmoid-before-bce-with-logits",
            "Probabilities are given to binary_cross_entropy_with_logits, which applies the sigmoid itself.",
            "No loss below ln(1 + 1/e) = 0.3133 for a positive, ln 2 = 0.6931 for a negative.",
            "Leave the sigmoid out, or use binary_cross_entropy.",
            "loss = F.binary_cross_entropy_with_logits(logits.sigmoid(), tags)",
            "loss = F.binary_cross_entropy_with_logits(logits, tags)",
        ),
        Rule(
            "softmax-before-bce",
            "Rows of a softmax, which compete with each other, are given to a binary cross entropy.",
            "Several labels cannot all be likely: k positives cost at least k ln k.",
            "Use the logits with binary_cross_entropy_with_logits, or cross_entropy if one class is true.",
            "loss = F.binary_cross_entropy(logits.softmax(1), tags)",
            "loss = F.binary_cross_entropy_with_logits(logits, tags)",
        ),
        Rule(
            "logits-into-bce",
            "Logits or log-probabilities are given to binary_cross_entropy, which takes probabilities.",
            "An error as soon as a logit leaves [0, 1].",
            "Use binary_cross_entropy_with_logits.",
            "loss = F.binary_cross_entropy(logits, tags)",
            "loss = F.binary_cross_entropy_with_logits(logits, tags)",
        ),
        Rule(
            "softmax-wrong-dim",
            "The softmax is taken over an axis that is not that of the classes.",
            "Rows do not sum to 1, so the loss is no −log of a probability.",
            "Use the class axis: dim=1 for (N, C) and (N, C, d1, …), dim=-1 where the classes are last.",
            "loss = F.nll_loss(logits.log_softmax(0), labels)",
            "loss = F.nll_loss(logits.log_softmax(1), labels)",
        ),
        Rule(
            "class-axis-not-one",
            "Logits of more than two axes have their classes elsewhere than on axis 1.",
            "An error, or, where the sizes agree, another axis is taken for the classes.",
            "Move the axis: logits.transpose(1, 2) for (N, T, C), logits.movedim(-1, 1) for more axes.",
            "loss = F.cross_entropy(token_logits, token_labels)  # (N, T, C) and (N, T)",
            "loss = F.cross_entropy(token_logits.transpose(1, 2), token_labels)",
        ),
        Rule(
            "view-instead-of-permute",
            "view or reshape is used where an axis has to be moved, which mixes rows and classes.",
            "The loss stays near ln C and falls slowly or not at all.",
            "permute or movedim the class axis to the end before flattening.",
            "loss = F.cross_entropy(pixel_logits.view(-1, C), pixel_labels.view(-1))  # (N, C, H, W)",
            "loss = F.cross_entropy(pixel_logits.permute(0, 2, 3, 1).reshape(-1, C), pixel_labels.view(-1))",
        ),
        Rule(
            "single-logit-cross-entropy",
            "cross_entropy has one class to choose from.",
            "The loss is always 0, and so is its gradient; or a label 1 is out of range.",
            "Use two outputs, or binary_cross_entropy_with_logits on one.",
            "loss = F.cross_entropy(score, (labels > 0).long())  # (N, 1)",
            "loss = F.binary_cross_entropy_with_logits(score.squeeze(1), (labels > 0).float())",
        ),
        Rule(
            "target-extra-dim",
            "The class indices have an axis of size 1 too many.",
            "An error about shapes, or broadcasting in losses written by hand.",
            "Use target.squeeze(1), or squeeze(-1).",
            "loss = F.cross_entropy(logits, labels.unsqueeze(1))",
            "loss = F.cross_entropy(logits, labels)",
        ),
        Rule(
            "float-class-index",
            "Class indices have a floating dtype.",
            "An error: expected scalar type Long.",
            "Use target.long().",
            "loss = F.cross_entropy(logits, labels.float())",
            "loss = F.cross_entropy(logits, labels.float().long())",
        ),
        Rule(
            "one-hot-target",
            "The target is one-hot where class indices would do.",
            "An error for integers; for floats the same loss at C times the memory.",
            "Use the class indices that it was made of, or target.argmax(1).",
            "loss = F.cross_entropy(logits, F.one_hot(labels, C))",
            "loss = F.cross_entropy(logits, labels)",
        ),
        Rule(
            "multi-hot-target",
            "Rows of the target hold several ones.",
            "The loss counts a row as often as it has labels, and the labels compete.",
            "Use binary_cross_entropy_with_logits; or divide rows by their sum if they share one unit of probability.",
            "loss = F.cross_entropy(logits, tags)",
            "loss = F.binary_cross_entropy_with_logits(logits, tags)",
        ),
        Rule(
            "unnormalized-target",
            "Rows of class probabilities do not sum to 1.",
            "The loss is scaled by the sum, or, for logits as targets, has no lower bound.",
            "Apply softmax to logits, or divide each row by its sum.",
            "loss = F.cross_entropy(logits, teacher_logits)",
            "loss = F.cross_entropy(logits, teacher_logits.softmax(1))",
        ),
        Rule(
            "label-out-of-range",
            "A label is negative, or not less than the number of classes, and is not ignore_index.",
            "An IndexError; on CUDA a device-side assertion that ends the process.",
            "Labels count from 0. For padding pass its label as ignore_index.",
            "loss = F.cross_entropy(logits, labels + 1)",
            "loss = F.cross_entropy(logits, labels)",
        ),
        Rule(
            "class-index-into-bce",
            "Class indices above 1 are the target of a binary cross entropy.",
            "The loss falls without bound below 0.",
            "Use cross_entropy, or one-hot targets for independent labels.",
            "loss = F.binary_cross_entropy_with_logits(logits[:, 0], labels.float())",
            "loss = F.cross_entropy(logits, labels)",
        ),
        Rule(
            "swapped-arguments",
            "The target comes first and the prediction second.",
            "An error, or a loss whose gradient goes to the wrong argument.",
            "Give the input first: loss(input, target).",
            "loss = F.cross_entropy(labels, logits)",
            "loss = F.cross_entropy(logits, labels)",
        ),
        Rule(
            "padding-not-ignored",
            "Padded positions count in the mean.",
            "The loss is diluted: the model is trained to predict padding, which is easy.",
            "Pass ignore_index=PAD, or set the labels of padding to −100.",
            "loss = F.cross_entropy(word_logits.flatten(0, 1), padded[:, 1:].flatten())",
            "loss = F.cross_entropy(word_logits.flatten(0, 1), padded[:, 1:].flatten(), ignore_index=PAD)",
        ),
        Rule(
            "all-targets-ignored",
            "Every label of a batch equals ignore_index.",
            "The mean is 0/0 = nan, and so is all that is computed from it: running averages, sums of losses.",
            "Skip such batches, or use denominator= of crossentropy, which gives 0.",
            "loss = F.cross_entropy(logits, torch.full_like(labels, -100))",
            "counted = (labels != -100).sum()\n"
            'loss = F.cross_entropy(logits, labels, reduction="sum") / counted.clamp(min=1)',
        ),
        Rule(
            "class-weight-shape",
            "The class weights are not one number for each class.",
            "An error, or, for weights of samples, each class weighed by some sample's number.",
            "Pass one weight for each class; for weights of rows use token_weight of crossentropy.",
            "loss = F.cross_entropy(logits, labels, weight=row_weights)",
            'loss = (F.cross_entropy(logits, labels, reduction="none") * row_weights).sum() / row_weights.sum()',
        ),
        Rule(
            "focal-on-reduced-loss",
            "A focal loss is computed from the mean of the cross entropy.",
            "One factor for the whole batch: hard samples are not weighed more than easy ones.",
            "Use reduction='none' for the cross entropy, and take the mean of the product.",
            "ce = F.cross_entropy(logits, labels)\nloss = (1 - torch.exp(-ce)) ** 2 * ce",
            'ce = F.cross_entropy(logits, labels, reduction="none")\nloss = ((1 - torch.exp(-ce)) ** 2 * ce).mean()',
        ),
        Rule(
            "mean-of-means",
            "Means over different numbers of rows are averaged with equal weight.",
            "Rows of the smaller batch count more, up to their ratio.",
            "Add loss × count and divide by the count, or pass denominator= to crossentropy's losses.",
            "loss = torch.stack([F.cross_entropy(z, y) for z, y in uneven_batches]).mean()",
            'total = sum(F.cross_entropy(z, y, reduction="sum") for z, y in uneven_batches)\n'
            "loss = total / sum(len(y) for _, y in uneven_batches)",
        ),
        Rule(
            "kl-div-on-probabilities",
            "Probabilities are given to kl_div as input, which takes log-probabilities.",
            "The loss is not a divergence, and may be negative.",
            "Give it log_softmax(logits); the target stays probabilities, unless log_target=True.",
            'loss = F.kl_div(logits.softmax(1), p, reduction="batchmean")',
            'loss = F.kl_div(logits.log_softmax(1), p, reduction="batchmean")',
        ),
        Rule(
            "kl-div-reduction",
            "kl_div's mean, or that of its terms, divides by all entries, or batchmean by less than all rows.",
            "The loss is C times too small, or as many times too large as a row has positions.",
            "Use reduction='batchmean' on (N, C); flatten (N, T, C) to (N·T, C) first.",
            "loss = F.kl_div(logits.log_softmax(1), p)",
            'loss = F.kl_div(logits.log_softmax(1), p, reduction="batchmean")',
        ),
        Rule(
            "causal-shift",
            "A language model's targets are not its inputs shifted by one.",
            "Unshifted, the loss falls to 0 by copying; shifted twice, it predicts the token after the next.",
            "logits[:, :-1] against (the decoder's) tokens[:, 1:], once; models that take labels= shift them.",
            "loss = F.cross_entropy(lm(tokens).transpose(1, 2), tokens)",
            "loss = F.cross_entropy(lm(tokens)[:, :-1].transpose(1, 2), tokens[:, 1:])",
        ),
        Rule(
            "loss-constructor-call",
            "Tensors are given to the constructor of a loss class.",
            "An error, or a criterion where a number is expected.",
            "Make the criterion first: CrossEntropyLoss()(input, target).",
            "loss = nn.CrossEntropyLoss(logits, labels)",
            "loss = nn.CrossEntropyLoss()(logits, labels)",
        ),
        Rule(
            "loss-name-shadowed",
            "The name of the criterion is overwritten with the value of the loss.",
            "An error in the second step: a Tensor is not callable.",
            "Give the value another name.",
            "criterion = criterion(logits, labels)  # the next call fails",
            "loss = criterion(logits, labels)",
        ),
        Rule(
            "detached-loss",
            "The loss, or a term of it, has no graph where it should train.",
            "An error in backward(), weights that never change, or a term that trains nothing.",
            "Do not detach, take .item() of, or compute the prediction under no_grad; make no new tensor of the loss.",
            "F.cross_entropy(logits.detach(), labels).backward()",
            "F.cross_entropy(logits, labels).backward()",
        ),
        Rule(
            "loss-graph-retained",
            "Losses are kept over steps with their graph.",
            "Memory grows with each step.",
            "Keep loss.item() or loss.detach().",
            "history.append(F.cross_entropy(model(x), labels))",
            "history.append(F.cross_entropy(model(x), labels).item())",
        ),
        Rule(
            "mse-on-one-hot",
            "A classifier is trained with the squared error against one-hot rows.",
            "The gradient vanishes where the model is wrong and certain.",
            "Use cross_entropy on the logits with class indices.",
            "loss = F.mse_loss(logits.softmax(1), F.one_hot(labels, C).float())",
            "loss = F.cross_entropy(logits, labels)",
        ),
        Rule(
            "label-smoothing-range",
            "label_smoothing is outside [0, 1].",
            "An error above 1; torch ignores a negative one in silence.",
            "Use a small number such as 0.1: a fraction, not per cent.",
            "loss = F.cross_entropy(logits, labels, label_smoothing=10)",
            "loss = F.cross_entropy(logits, labels, label_smoothing=0.1)",
        ),
        Rule(
            "deprecated-reduce",
            "size_average or reduce is used.",
            "A warning; reduce=False silently overrides size_average.",
            "Use reduction='mean', 'sum' or 'none'.",
            "loss = F.cross_entropy(logits, labels, size_average=False)",
            'loss = F.cross_entropy(logits, labels, reduction="sum")',
        ),
        Rule(
            "masked-target-logit",
            "The logit of a true class is −inf.",
            "The loss is inf, and its gradient nan.",
            "Do not mask a class that occurs as a target, or ignore those rows.",
            "loss = F.cross_entropy(logits.masked_fill(banned, -torch.inf), labels)",
            "loss = F.cross_entropy(logits.masked_fill(banned & ~F.one_hot(labels, C).bool(), -torch.inf), labels)",
        ),
    )
}
"""All rules by name, in the order of the documentation."""
