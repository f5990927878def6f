"""The rules in Chinese: what goes wrong, what it costs and how it is mended. Numbers are for C classes."""

from typing import NamedTuple

from crossentropy.doctor.rules import Confidence


class Words(NamedTuple):
    """What `Rule` says in English."""

    meaning: str
    symptom: str
    fix: str


CONFIDENCES: dict[Confidence, str] = {"certain": "确定", "likely": "很可能", "info": "提示"}

RULES: dict[str, Words] = {
    "softmax-before-cross-entropy": Words(
        "传给 cross_entropy 的是概率，而它自己会做一次 log_softmax。",
        "损失不会低于 ln(1 + (C − 1)/e)，10 类时为 1.461；梯度大约只有原来的 1/C。",
        "直接传 logits：去掉 softmax，只在需要显示概率的地方使用它。",
    ),
    "sigmoid-before-cross-entropy": Words(
        "传给 cross_entropy 的是 0 到 1 之间的 sigmoid 值，而它需要 logits。",
        "损失不会低于 ln(1 + (C − 1)/e)，与多做一次 softmax 相同。",
        "直接传 logits：去掉 sigmoid。若各标签相互独立，改用 BCEWithLogitsLoss。",
    ),
    "log-softmax-before-cross-entropy": Words(
        "传给 cross_entropy 的是对数概率，而它自己会做一次 log_softmax。",
        "没有影响：对数概率再做一次 log_softmax 仍是它自己。",
        "去掉 log_softmax，或改用 nll_loss。",
    ),
    "relu-before-cross-entropy": Words(
        "logits 最后经过了 ReLU，因此没有负值。",
        "无法排除任何一类；所有 logits 都为 0 时，损失是 ln C 且没有梯度。",
        "去掉最后的 ReLU。",
    ),
    "softmax-before-nll": Words(
        "传给 nll_loss 的是概率，而它需要对数概率。",
        "损失落在 −1 与 0 之间。",
        "把 softmax 换成 log_softmax，或对 logits 使用 cross_entropy。",
    ),
    "logits-into-nll": Words(
        "传给 nll_loss 的是 logits，而它需要对数概率。",
        "损失会无限地降到 0 以下。",
        "使用 cross_entropy，或在 nll_loss 之前做 log_softmax。",
    ),
    "log-of-softmax": Words(
        "softmax 的对数是分两步求的。",
        "概率下溢时得到 −inf，随后是 nan：在 float32 中，比最大值低 104 的 logit 就会如此。",
        "使用 log_softmax，或对 logits 使用 cross_entropy。",
    ),
    "sigmoid-before-bce-with-logits": Words(
        "传给 binary_cross_entropy_with_logits 的是概率，而它自己会做一次 sigmoid。",
        "正例的损失不会低于 ln(1 + 1/e) = 0.3133，负例不会低于 ln 2 = 0.6931。",
        "去掉 sigmoid，或改用 binary_cross_entropy。",
    ),
    "softmax-before-bce": Words(
        "传给二元交叉熵的是 softmax 的各行，其中各类互相竞争。",
        "几个标签不可能同时有很大的概率：k 个正例的损失至少为 k ln k。",
        "对 logits 使用 binary_cross_entropy_with_logits；若只有一类为真，使用 cross_entropy。",
    ),
    "logits-into-bce": Words(
        "传给 binary_cross_entropy 的是 logits 或对数概率，而它需要概率。",
        "一旦有 logit 超出 [0, 1] 就会报错。",
        "使用 binary_cross_entropy_with_logits。",
    ),
    "softmax-wrong-dim": Words(
        "softmax 所沿的轴不是类别轴。",
        "各行之和不是 1，因此损失不是某个概率的 −log。",
        "沿类别轴计算：(N, C) 与 (N, C, d1, …) 用 dim=1，类别在最后一轴时用 dim=-1。",
    ),
    "class-axis-not-one": Words(
        "多于两个轴的 logits，类别不在第 1 轴。",
        "报错；若各轴大小恰好相同，则会把别的轴当作类别。",
        "移动轴：(N, T, C) 用 logits.transpose(1, 2)，更多的轴用 logits.movedim(-1, 1)。",
    ),
    "view-instead-of-permute": Words(
        "本该移动轴的地方用了 view 或 reshape，行与类别被混在一起。",
        "损失停在 ln C 附近，下降很慢或不下降。",
        "展平之前，先用 permute 或 movedim 把类别轴移到最后。",
    ),
    "single-logit-cross-entropy": Words(
        "cross_entropy 只有一类可选。",
        "损失与梯度恒为 0；或者标签 1 超出范围。",
        "用两个输出，或对一个输出使用 binary_cross_entropy_with_logits。",
    ),
    "target-extra-dim": Words(
        "类别编号多了一个大小为 1 的轴。",
        "报形状错误；在自己写的损失里则会发生广播。",
        "使用 target.squeeze(1) 或 squeeze(-1)。",
    ),
    "float-class-index": Words(
        "类别编号是浮点类型。",
        "报错：expected scalar type Long。",
        "使用 target.long()。",
    ),
    "one-hot-target": Words(
        "本可以用类别编号的地方用了独热目标。",
        "整数会报错；浮点数得到同样的损失，内存却是 C 倍。",
        "使用原来的类别编号，或者 target.argmax(1)。",
    ),
    "multi-hot-target": Words(
        "目标的一行里有几个 1。",
        "一行有几个标签就被计几次，而且这些标签互相竞争。",
        "使用 binary_cross_entropy_with_logits；若它们共享一份概率，把每行除以其和。",
    ),
    "unnormalized-target": Words(
        "类别概率的各行之和不是 1。",
        "损失按该和缩放；若目标是 logits，则损失没有下界。",
        "对 logits 做 softmax，或把每行除以其和。",
    ),
    "label-out-of-range": Words(
        "有标签为负，或不小于类别数，且不是 ignore_index。",
        "IndexError；在 CUDA 上则是使进程结束的 device-side 断言。",
        "标签从 0 数起。填充的标签请用 ignore_index 传入。",
    ),
    "class-index-into-bce": Words(
        "二元交叉熵的目标是大于 1 的类别编号。",
        "损失会无限地降到 0 以下。",
        "使用 cross_entropy；若标签相互独立，使用独热目标。",
    ),
    "swapped-arguments": Words(
        "目标写在前面，预测写在后面。",
        "报错，或者梯度流向了错误的参数。",
        "先写输入：loss(input, target)。",
    ),
    "padding-not-ignored": Words(
        "填充的位置也被计入平均。",
        "损失被冲淡：模型被训练去预测填充，而那很容易。",
        "传入 ignore_index=PAD，或把填充的标签设为 −100。",
    ),
    "all-targets-ignored": Words(
        "一个批次的所有标签都等于 ignore_index。",
        "平均是 0/0 = nan，由它算出的一切也是：滑动平均、损失之和。",
        "跳过这样的批次，或使用 crossentropy 的 denominator=，结果为 0。",
    ),
    "class-weight-shape": Words(
        "类别权重不是每类一个数。",
        "报错；若给的是样本的权重，则每一类被乘以某个样本的数。",
        "每一类传一个权重；行的权重请用 crossentropy 的 token_weight。",
    ),
    "focal-on-reduced-loss": Words(
        "focal 损失是由交叉熵的平均值算出的。",
        "整个批次只有一个因子：难的样本并不比容易的样本更受重视。",
        "交叉熵用 reduction='none'，最后对乘积取平均。",
    ),
    "mean-of-means": Words(
        "行数不同的几个平均值被等权地平均。",
        "较小批次的行占的比重更大，最多为两者行数之比。",
        "累加损失 × 行数再除以总行数，或给 crossentropy 的损失传入 denominator=。",
    ),
    "kl-div-on-probabilities": Words(
        "kl_div 的输入应是对数概率，传入的却是概率。",
        "得到的不是散度，可能为负。",
        "输入 log_softmax(logits)；目标仍是概率，除非 log_target=True。",
    ),
    "kl-div-reduction": Words(
        "kl_div 的 mean（或对其各项取的 mean）除以所有元素的个数，或 batchmean 除以的数少于行数。",
        "损失小了 C 倍，或大了每行位置数那么多倍。",
        "对 (N, C) 使用 reduction='batchmean'；(N, T, C) 先展平为 (N·T, C)。",
    ),
    "causal-shift": Words(
        "语言模型的目标不是错开一位的输入。",
        "没有移位时，靠照抄损失就降到 0；移了两次时，预测的是再下一个词元。",
        "logits[:, :-1] 对 tokens[:, 1:]（解码器的 token），只移一次；接受 labels= 的模型自己会移位。",
    ),
    "loss-constructor-call": Words(
        "张量被传给了损失类的构造函数。",
        "报错，或者在需要数的地方得到一个损失对象。",
        "先构造损失对象：CrossEntropyLoss()(input, target)。",
    ),
    "loss-name-shadowed": Words(
        "损失对象的名字被损失的值覆盖了。",
        "第二步报错：Tensor 不可调用。",
        "给损失的值换一个名字。",
    ),
    "detached-loss": Words(
        "应当训练的损失，或其中一项，没有计算图。",
        "backward() 报错，权重从不改变，或某一项不起训练作用。",
        "不要 detach，不要取 .item()，不要在 no_grad 下计算预测；也不要用损失新建张量。",
    ),
    "loss-graph-retained": Words(
        "各步的损失连同计算图一起被保留。",
        "内存随步数增长。",
        "保留 loss.item() 或 loss.detach()。",
    ),
    "mse-on-one-hot": Words(
        "分类器用平方误差对独热行训练。",
        "模型错得很有把握时，梯度消失。",
        "对 logits 使用 cross_entropy，目标用类别编号。",
    ),
    "label-smoothing-range": Words(
        "label_smoothing 超出 [0, 1]。",
        "大于 1 会报错；负值被 torch 悄悄忽略。",
        "用 0.1 这样的小数：是比例，不是百分数。",
    ),
    "deprecated-reduce": Words(
        "使用了 size_average 或 reduce。",
        "警告；reduce=False 会悄悄盖过 size_average。",
        "使用 reduction='mean'、'sum' 或 'none'。",
    ),
    "masked-target-logit": Words(
        "真实类别的 logit 是 −inf。",
        "损失为 inf，梯度为 nan。",
        "不要屏蔽会作为目标出现的类别，或忽略那些行。",
    ),
}
