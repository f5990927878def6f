"""Every word of every renderer and of the command line, in two languages; formulae have none.

A key names the place, its two texts say the same with the same {names} to be filled in. The key of a step is its
name, and "<key>.note" what it means.
"""

import re
from typing import cast, get_args

from crossentropy._errors import ArgumentValueError
from crossentropy._explain._file_words import FILES
from crossentropy._languages import Language, of_locale

WORDS: dict[str, tuple[str, str]] = {
    # titles
    "title.input": ("Cross entropy of logits ({shape}) against {target}", "logits（{shape}）与{target}的交叉熵"),
    "title.probs": ("Cross entropy of probabilities ({shape}) against {target}", "概率（{shape}）与{target}的交叉熵"),
    "title.hidden": (
        "Cross entropy of a linear head on hidden states ({shape}) against {target}",
        "隐藏状态（{shape}）经线性输出层后与{target}的交叉熵",
    ),
    "title.kl": (
        "KL divergence KL(p‖q) of {C} outcomes",
        "{C} 个结果的相对熵（KL 散度）KL(p‖q)",
    ),
    "title.entropy": (
        "Entropy H(p) of {C} outcomes",
        "{C} 个结果的熵 H(p)",
    ),
    "title.kl.many": (
        "KL divergence KL(p‖q) of {N} pairs of distributions over {C} outcomes",
        "{N} 对分布（各 {C} 个结果）的相对熵（KL 散度）KL(p‖q)",
    ),
    "title.entropy.many": (
        "Entropy H(p) of {N} distributions over {C} outcomes",
        "{N} 个分布（各 {C} 个结果）的熵 H(p)",
    ),
    "title.information": (
        "Information −log p of {C} outcomes",
        "{C} 个结果的信息量 −log p",
    ),
    "target.indices": ("class indices ({shape})", "类别标签（{shape}）"),
    "target.probabilities": ("class probabilities ({shape})", "类别概率（{shape}）"),
    # what was given
    "given.input": (
        "The input holds logits of shape ({shape}), {dtype}: {N:,} rows, with {C:,} classes along dim {dim}.",
        "输入是形状为（{shape}）的 logits，类型为 {dtype}：共 {N:,} 行，沿 dim={dim} 有 {C:,} 个类别。",
    ),
    "given.probs": (
        "The input holds probabilities of shape ({shape}), {dtype}, so that softmax is done: {N:,} rows, with {C:,} "
        "classes along dim {dim}.",
        "输入是形状为（{shape}）的概率，类型为 {dtype}，softmax 已经做过：共 {N:,} 行，沿 dim={dim} 有 {C:,} 个类别。",
    ),
    "given.hidden": (
        "The input holds hidden states of shape ({shape}), {dtype}: {N:,} rows, of which a linear head makes logits of "
        "{C:,} classes. They are built for the rows that are shown, and for no others.",
        "输入是形状为（{shape}）的隐藏状态，类型为 {dtype}：共 {N:,} 行，由线性输出层得到 {C:,} 个类别的 logits。"
        "这里只为所展示的行计算 logits，其余各行不会生成。",
    ),
    "path.indices": (
        "The target holds class indices: of each row, one class is the true one.",
        "目标是类别标签：每一行只有一个类别是正确答案。",
    ),
    "path.probabilities": (
        "The target holds class probabilities: each row is compared with a distribution.",
        "目标是类别概率：每一行都与一个分布相比较。",
    ),
    "shown.rows": (
        "Shown are {rows} of {N} rows, the one of the largest loss among them.",
        "{N} 行中只展示 {rows} 行，损失最大的一行也在其中。",
    ),
    "shown.classes": (
        "In each row {classes} of {C} classes are shown: those with the largest logits, and the target.",
        "每一行的 {C} 个类别中只展示 {classes} 个：logits 最大的几类，以及目标类别。",
    ),
    "shown.distributions": ("Shown are {rows} of {N} distributions.", "{N} 个分布中只展示 {rows} 个。"),
    "shown.terms": ("Shown are {rows} of {N} outcomes.", "{N} 个结果中只展示 {rows} 个。"),
    "ignored": (
        "Rows whose label is {index} are ignored: nothing of them is read.",
        "标签为 {index} 的行被忽略：其中的数不会参与任何计算。",
    ),
    # steps of a loss
    "target": ("Input and target", "输入与目标"),
    "target.note": ("", ""),
    "raw": ("Logits as given", "原始 logits"),
    "raw.note": (
        "What the network puts out, before the scale and the softcap.",
        "网络的直接输出，尚未缩放，也未做 softcap。",
    ),
    "logits": ("Logits", "logits（未归一化的分数）"),
    "logits.note": (
        "Any real numbers, one for each class. Only their differences within a row matter.",
        "每个类别一个任意实数；起作用的只是同一行内的差。",
    ),
    "max": ("Largest logit of each row", "每行的最大值"),
    "max.note": (
        "Subtracting it changes no probability, and keeps exp from overflowing.",
        "整行减去它，概率不变，而 exp 不会溢出。",
    ),
    "shifted": ("Shifted logits", "减去最大值"),
    "shifted.note": ("Now the largest of each row is 0.", "此时每行最大的数为 0。"),
    "exp": ("Exponentials", "取指数"),
    "exp.note": ("All in (0, 1], and not yet a distribution.", "都落在 (0, 1] 内，但还不是概率分布。"),
    "sum": ("Their sum", "指数之和"),
    "sum.note": ("The normaliser of each row; at least 1, at most C.", "每行的归一化因子，介于 1 与 C 之间。"),
    "lse": ("Log-sum-exp", "对数指数和（logsumexp）"),
    "lse.note": (
        "The logarithm of the sum of exp(z), without ever computing exp(z).",
        "即 Σ exp(z) 的对数，但从不计算 exp(z) 本身。",
    ),
    "log_softmax": ("log_softmax", "log_softmax"),
    "log_softmax.note": (
        "Logarithms of the probabilities, none above 0. The target's cell is the one that the loss reads.",
        "概率的对数，都不大于 0。损失只读取目标所在的那一格。",
    ),
    "softmax": ("softmax", "softmax"),
    "softmax.note": (
        "The same as probabilities: each row sums to 1. The loss does not need this step; do not put "
        "it before the loss.",
        "同样的内容写成概率：每行之和为 1。计算损失并不需要这一步，更不要把它放在损失函数之前。",
    ),
    "probabilities": ("Probabilities", "概率"),
    "probabilities.note": ("What the model believes: each row sums to 1.", "模型的预测：每行之和为 1。"),
    "log_probabilities": ("Their logarithms", "取对数"),
    "log_probabilities.note": (
        "None above 0. The target's cell is the one that the loss reads.",
        "都不大于 0。损失只读取目标所在的那一格。",
    ),
    "nll": ("Surprise at the target, in nats", "目标的信息量（nat）"),
    "nll.note": (
        "−log of the probability q that the model gave to the truth: 0 if it was certain, without "
        "bound if it ruled it out.",
        "模型给正确答案的概率是 q，这里取 −log q，即负对数似然：若模型完全确信则为 0；"
        "给的概率越小，它就越大，没有上限。",
    ),
    "bit": ("The same in bits", "换算成 bit"),
    "bit.note": ("One bit halves the probability.", "每多 1 bit，概率减半。"),
    "hartley": ("The same in hartleys", "换算成 hartley"),
    "hartley.note": ("One hartley divides the probability by ten.", "每多 1 hartley，概率降为十分之一。"),
    "tau": ("What each class weighs", "各类别的权重"),
    "tau.note": ("", ""),
    "tau.smoothing": (
        "Label smoothing gives {eps} of the target away, in equal parts to all {C} classes.",
        "标签平滑从目标中取出 {eps}，平均分给全部 {C} 个类别。",
    ),
    "weight": ("Class weight of each row", "每行的类别权重"),
    "weight.note": (
        "That of its label. The row counts as much in the denominator of the mean.",
        "即该行标签的权重。求均值时，分母里也按这个权重计数。",
    ),
    "z_loss": ("z-loss", "z-loss"),
    "z_loss.note": ("Keeps the log-sum-exp near 0.", "使 logsumexp 保持在 0 附近。"),
    "token_weight": ("Weight of each row", "每行的权重"),
    "token_weight.note": ("A row of weight 2 counts as two rows.", "权重为 2 的行相当于两行。"),
    "loss": ("Loss of each row", "每行的损失"),
    "loss.note": ("The surprise, with all that weighs it.", "把上面的权重都计入之后的信息量。"),
    "rows": ("Losses", "损失"),
    "rows.note": ('reduction="none" keeps one number a row.', 'reduction="none" 时每行保留一个数。'),
    "denominator": ("What the mean divides by", "均值的分母"),
    "denominator.note": ("", ""),
    "denominator.given": ("It was given as denominator=.", "由参数 denominator= 给定。"),
    "denominator.rows": (
        "Rows that count: {counted}; ignored: {skipped}.",
        "计入的行：{counted}；被忽略的行：{skipped}。",
    ),
    "value": ("The loss", "损失"),
    "value.note": ("One number, in nats.", "一个数，单位为 nat。"),
    "value_in_unit": ("The loss in another unit", "换一个单位"),
    "value_in_unit.note": ("", ""),
    "gradient": ("Gradient", "梯度"),
    "gradient.note": (
        "Positive where the model gives too much probability, negative at the target. Training goes against it: "
        "the target's logit rises, the others fall.",
        "概率给多了的类别为正，目标为负。训练沿负梯度方向更新：目标的 logit 升高，其余降低。",
    ),
    "gradient.sum": ("Each row sums to 0.", "每行之和为 0。"),
    # steps of quantities
    "outcomes": ("Probabilities of the outcomes", "各结果的概率"),
    "outcomes.note": ("", ""),
    "p": ("The truth p", "真实分布 p"),
    "p.note": ("", ""),
    "q": ("The belief q", "预测分布 q"),
    "q.note": ("", ""),
    "information": ("Information of each outcome", "各结果的信息量"),
    "information.note": (
        "The rarer an outcome, the more it tells; a certain one tells nothing.",
        "结果越罕见，信息量越大；必然发生的结果没有信息量。",
    ),
    "entropy_terms": ("Weighed by how often it happens", "按发生的概率加权"),
    "entropy_terms.note": ("An outcome of probability 0 contributes 0.", "概率为 0 的结果贡献为 0。"),
    "entropy": ("Entropy", "熵"),
    "entropy.note": (
        "Information on average. The more evenly the outcomes are matched, the larger it is.",
        "信息量的平均值。各结果的概率越均匀，熵越大。",
    ),
    "log_ratio": ("What q overpays", "q 多付的信息量"),
    "log_ratio.note": (
        "What believing q costs at each outcome; negative where q expects it more than it happens.",
        "在每个结果上相信 q 的代价；若 q 高估了这个结果，则为负。",
    ),
    "kl_terms": ("Weighed by how often it happens", "按发生的概率加权"),
    "kl_terms.note": (
        "Single terms may be negative, their sum never.",
        "单独一项可以为负，总和绝不会为负。",
    ),
    "kl": ("KL divergence", "相对熵（KL 散度）"),
    "kl.note": (
        "What believing q costs on average, beyond what is unavoidable. 0 only for q = p, and not symmetric.",
        "相信 q 平均要多付的代价。仅当 q = p 时为 0，且不对称。",
    ),
    "cross_entropy": ("Cross entropy", "交叉熵"),
    "cross_entropy.note": (
        "Entropy plus divergence. H(p) is beyond the reach of q, so lowering one lowers the other.",
        "熵加上相对熵。H(p) 与 q 无关，所以减小交叉熵就是减小相对熵。",
    ),
    # landmarks
    "landmarks": ("Landmarks", "参照值"),
    "mark.uniform": ("knowing nothing", "一无所知"),
    "mark.uniform.note": ("ln {C}: all classes alike.", "ln {C}：所有类别一视同仁。"),
    "mark.double_softmax": ("floor after a second softmax", "多做一次 softmax 的下限"),
    "mark.double_softmax.note": (
        "ln(1 + ({C} − 1)/e): with probabilities in place of logits, no loss is below it.",
        "ln(1 + ({C} − 1)/e)：若误把概率当作 logits，损失再小也不会低于此值。",
    ),
    "mark.label_entropy": ("entropy of the labels", "标签的熵"),
    "mark.label_entropy.note": (
        "What knowing only how frequent each label is would cost.",
        "只知道各标签出现的频率时的损失。",
    ),
    "mark.label_entropy.probabilities": ("entropy of the targets", "目标的熵"),
    "mark.label_entropy.probabilities.note": ("The loss of a perfect model.", "完美的模型也有这么大的损失。"),
    "mark.smoothing": ("floor under label smoothing", "标签平滑的下限"),
    "mark.smoothing.note": ("The entropy of a target smoothed by {eps}.", "平滑系数为 {eps} 时目标的熵。"),
    "mark.perplexity": ("perplexity", "困惑度"),
    "mark.perplexity.note": (
        "exp of the loss: as unsure as among so many equal classes.",
        "损失的指数：相当于在这么多个等可能的类别中猜测。",
    ),
    "mark.worst": ("largest loss of a row", "损失最大的一行"),
    "mark.worst.note": ("That of row [{row}].", "第 [{row}] 行。"),
    "mark.uniform_entropy": ("largest possible", "最大值"),
    "mark.uniform_entropy.note": ("The logarithm of {C}: all outcomes alike.", "{C} 的对数：所有结果等可能。"),
    "mark.outcomes": ("perplexity", "困惑度"),
    "mark.outcomes.note": ("As unsure as among so many equally likely outcomes.", "相当于这么多个等可能的结果。"),
    "mark.reverse": ("the other way round", "交换 p 与 q"),
    "mark.reverse.note": ("KL(q‖p).", "即 KL(q‖p)。"),
    "mark.js": ("symmetric", "对称的散度"),
    "mark.js.note": ("The Jensen–Shannon divergence of p and q.", "p 与 q 的 Jensen–Shannon 散度。"),
    # the check
    "check": ("Check", "核对"),
    "check.agrees": (
        "torch in float64 gives {torch}; the largest difference is {apart}, which rounding explains "
        "(up to {tolerance}).",
        "torch 用 float64 算得 {torch}；最大差异为 {apart}，属于舍入误差（上限 {tolerance}）。",
    ),
    "check.differs": (
        "torch in float64 gives {torch}; the largest difference is {apart}, more than rounding explains ({tolerance}).",
        "torch 用 float64 算得 {torch}；最大差异为 {apart}，超出舍入误差（{tolerance}）。",
    ),
    # the difference of two
    "diff.none": ("No step differs by more than rounding.", "没有任何一步的差异超出舍入误差。"),
    "diff.same_value": ("The loss is {a} all the same.", "但损失同为 {a}。"),
    "diff.values": ("The loss is {a} and {b}.", "损失分别为 {a} 与 {b}。"),
    "diff.shape": (
        "They part at the shapes: a has {a} logits and b {b}.",
        "形状已经不同：a 的 logits 为 {a}，b 为 {b}。",
    ),
    "diff.one_sided": (
        "They part at “{step}”: {has} has this step and {lacks} has not.",
        "分歧始于“{step}”：{has} 有这一步，{lacks} 没有。",
    ),
    "diff.entries": (
        "They part at “{step}”: entry {where} is {a} in a and {b} in b.",
        "分歧始于“{step}”：第 {where} 项在 a 中为 {a}，在 b 中为 {b}。",
    ),
    "diff.path": (
        "They part at the target: one has class indices, the other class probabilities.",
        "分歧始于目标：一个是类别标签，另一个是类别概率。",
    ),
    "diff.softmax": (
        "They part at “{step}”: b's logits are the softmax of a's. A softmax before this loss is one "
        "too many: leave it out.",
        "分歧始于“{step}”：b 的 logits 是 a 的 softmax。这个损失之前不需要 softmax，请去掉。",
    ),
    "diff.softmax_reversed": (
        "They part at “{step}”: a's logits are the softmax of b's. A softmax before this loss is one "
        "too many: leave it out.",
        "分歧始于“{step}”：a 的 logits 是 b 的 softmax。这个损失之前不需要 softmax，请去掉。",
    ),
    "diff.log_softmax": (
        "They part at “{step}”: b's logits are the log_softmax of a's, which changes no probability.",
        "分歧始于“{step}”：b 的 logits 是 a 的 log_softmax，概率不变。",
    ),
    "diff.log_softmax_reversed": (
        "They part at “{step}”: a's logits are the log_softmax of b's, which changes no probability.",
        "分歧始于“{step}”：a 的 logits 是 b 的 log_softmax，概率不变。",
    ),
    "diff.sigmoid": (
        "They part at “{step}”: b's logits are the sigmoid of a's. Leave the sigmoid out.",
        "分歧始于“{step}”：b 的 logits 是 a 的 sigmoid。请去掉 sigmoid。",
    ),
    "diff.relu": (
        "They part at “{step}”: b's logits are those of a without what is negative. Leave the relu out.",
        "分歧始于“{step}”：b 的 logits 是 a 经过 relu 的结果，负数都丢掉了。请去掉 relu。",
    ),
    "diff.shift": (
        "They part at “{step}”: b's logits are a's plus one number a row, which changes no probability.",
        "分歧始于“{step}”：b 的 logits 是 a 逐行加上一个常数，概率不变。",
    ),
    "diff.scale": (
        "They part at “{step}”: b's logits are a multiple of a's, as under another temperature ({a} became {b}).",
        "分歧始于“{step}”：b 的 logits 是 a 的倍数，相当于改变了温度（{a} 变成了 {b}）。",
    ),
    "diff.ignored": (
        "They part at the target: other rows are ignored (ignore_index, or padding that is counted).",
        "分歧始于目标：被忽略的行不同（ignore_index 不同，或填充部分被计入）。",
    ),
    "diff.off_by_one": (
        "They part at the target: all labels differ by one ({a} became {b}). Classes count from 0.",
        "分歧始于目标：所有标签都差 1（{a} 变成了 {b}）。类别从 0 开始编号。",
    ),
    "diff.labels": (
        "They part at the target: the label of row {where} is {a} in a and {b} in b.",
        "分歧始于目标：第 {where} 行的标签在 a 中为 {a}，在 b 中为 {b}。",
    ),
    "diff.weight": (
        "They part at the class weights: that of row {where} is {a} in a and {b} in b.",
        "分歧始于类别权重：第 {where} 行在 a 中为 {a}，在 b 中为 {b}。",
    ),
    "diff.token_weight": (
        "They part at the rows' weights: that of row {where} is {a} in a and {b} in b.",
        "分歧始于行权重：第 {where} 行在 a 中为 {a}，在 b 中为 {b}。",
    ),
    "diff.tau": (
        "They part at what each class weighs (label smoothing or class weights): entry {where} is "
        "{a} in a and {b} in b.",
        "分歧始于各类别的权重（标签平滑或类别权重不同）：第 {where} 项在 a 中为 {a}，在 b 中为 {b}。",
    ),
    "diff.denominator": (
        "They part at the mean: a divides by {a} and b by {b}.",
        "分歧始于求均值：a 除以 {a}，b 除以 {b}。",
    ),
    # figures
    "figure.bars.cross_entropy": (
        "What the model believes, q; dashed, what is true.",
        "模型的预测 q；虚线框为真实分布。",
    ),
    "figure.bars.kl": ("The belief q; dashed, the truth p.", "预测分布 q；虚线框为真实分布 p。"),
    "figure.bars.entropy": ("The probabilities p.", "概率分布 p。"),
    "figure.bars.information": ("", ""),
    "figure.bars.label": ("Probabilities of the classes as bars", "各类别概率的条形图"),
    "figure.areas.label": ("The same as an area", "面积图"),
    "figure.areas.cross_entropy": (
        "Each class is as wide as its true probability p and as high as its surprise −log q, so the area is the loss "
        "of the row. Filled: H(p), beyond reach. Hatched: KL(p‖q), what learning can remove.",
        "每一类的宽是真实概率 p，高是 −log q，所以总面积就是这一行的损失。实心部分是 H(p)，无法减小；"
        "斜线部分是 KL(p‖q)，这才是学习能够消除的部分。",
    ),
    "figure.areas.kl": (
        "Each outcome is as wide as p and as high as −log q: the area is H(p, q). Filled: H(p). Hatched: what q adds; "
        "plain green: what it saves. Hatched less green is KL(p‖q).",
        "每个结果的宽是 p，高是 −log q，总面积就是 H(p, q)。实心部分是 H(p)；斜线部分是 q 多付的，绿色部分是少付的，"
        "两者之差就是 KL(p‖q)。",
    ),
    "figure.areas.entropy": (
        "Each outcome is as wide as its probability p and as high as its information −log p: the area is H(p).",
        "每个结果的宽是概率 p，高是信息量 −log p，总面积就是 H(p)。",
    ),
    "figure.areas.information": ("", ""),
    # the page
    "page.intro": (
        "Move a slider: every number follows. Point at a class, or reach its slider with the Tab key, and its cells, "
        "its bar and its terms light up.",
        "拖动滑块，所有数字随之变化。把鼠标移到某个类别上（或用 Tab 键选中它的滑块），"
        "它所在的格子、条形和公式中的项都会亮起来。",
    ),
    "page.intro.still": ("Every step, with its numbers.", "每一步及其数值。"),
    "page.panel": ("Controls", "调节"),
    "page.logits": ("Logits of one row", "一行的 logits"),
    "page.logits.kl": ("Logits of q", "q 的 logits"),
    "page.logits.entropy": ("Logits of p", "p 的 logits"),
    "page.temperature": ("temperature", "温度"),
    "page.reset": ("As given", "恢复原值"),
    "page.stale": (
        "The check is of the numbers as given, not as moved.",
        "核对的是原来的数，不是调节之后的数。",
    ),
    # renderers
    "row": ("row", "行"),
    "worked": ("{where}:", "{where}："),
    "class": ("class", "类别"),
    "outcome": ("outcome", "结果"),
    "others": ("+{count}", "+{count}"),
    "other_rows": ("+{count}", "+{count}"),
    "legend.target": ("[ ] the target", "[ ] 目标"),
    "legend.ignored": ("× ignored", "× 被忽略"),
    "legend.others": ("+{count} all other classes together", "+{count} 其余各类合计"),
    "legend.other_rows": ("+{count} all other rows together", "+{count} 其余各行合计"),
    # the command line
    "cli.working": ("computing", "正在计算"),
    "cli.description": (
        "Explain a loss step by step: logits in one file, targets in another, or both in one. Without files, examples "
        "are explained.",
        "逐步解释一个损失：logits 与目标分在两个文件里，或在同一个文件里。不给文件时解释内置的例子。",
    ),
    "cli.files": ("input", "输入"),
    "cli.loss": ("the loss, as in cross_entropy", "损失（与 cross_entropy 的参数相同）"),
    "cli.output": ("output", "输出"),
    "cli.logits": (
        "logits (N, C), or (N, C, d1, …): .csv .tsv .json .jsonl .npy .npz .safetensors .pt .pth .bin .ckpt .parquet "
        ".arrow .feather, a directory of save_to_disk, or - for standard input",
        "logits，形状为 (N, C) 或 (N, C, d1, …)：.csv .tsv .json .jsonl .npy .npz .safetensors .pt .pth .bin .ckpt "
        ".parquet .arrow .feather，或者 save_to_disk 写出的目录，- 表示标准输入",
    ),
    "cli.targets": (
        "class indices or class probabilities; may be left out where the first file holds them too",
        "类别标签或类别概率；若第一个文件里已有，可以省略",
    ),
    "cli.from": (
        "which columns of LOGITS are what, as in logits=a,b,c label=y: logits or probs, label, weight (of each row); a "
        "pattern as logits=z_* takes several (default: by their names)",
        "LOGITS 中各列的用途，例如 logits=a,b,c label=y：logits 或 probs、label、weight（每行的权重）；"
        "logits=z_* 这样的模式可以匹配多列（默认按列名判断）",
    ),
    "cli.no_role": (
        "{text!r}: expected as in logits=a,b,c, with a word of {known} before the =",
        "{text!r}：应写成 logits=a,b,c 的形式，等号前可用 {known}",
    ),
    "cli.role_twice": (
        "--from: {word}, though it is said before what the {role} is",
        "--from：{word} 重复，{role} 已经指定过",
    ),
    "cli.given_twice": (
        "--from {word}=…: the {role} is in a file of its own already",
        "--from {word}=…：{role} 已经由另一个文件给出",
    ),
    "cli.probs": ("LOGITS holds probabilities: softmax is done", "LOGITS 中是概率，softmax 已经做过"),
    "cli.linear_weight": ("head (C, D): LOGITS holds hidden states", "输出层权重 (C, D)：LOGITS 中是隐藏状态"),
    "cli.linear_bias": ("the head's bias (C) (default: none)", "输出层偏置 (C)（默认没有）"),
    "cli.class_names": (
        "names of the classes, by commas (default: those of columns, or indices)",
        "各类别的名称，用逗号隔开（默认用列名，没有列名时用序号）",
    ),
    "cli.weight": ("class weights (C) (default: 1)", "类别权重 (C)（默认 1）"),
    "cli.token_weight": ("weight of each row (default: 1)", "每行的权重（默认 1）"),
    "cli.ignore_index": ("label whose rows are left out (default: -100)", "该标签的行不计入（默认 -100）"),
    "cli.reduction": ("what becomes of the rows' losses (default: mean)", "各行损失的汇总方式（默认 mean）"),
    "cli.label_smoothing": (
        "ε in [0, 1]: the part of the target that is spread over the classes (default: 0)",
        "标签平滑系数 ε，在 [0, 1] 内：目标中均分给各类别的部分（默认 0）",
    ),
    "cli.denominator": (
        "what the mean divides by (default: the weight of the rows that count, in sum)",
        "均值的分母（默认为计入各行的权重之和）",
    ),
    "cli.z_loss": ("λ of the added term λ · lse² (default: 0)", "附加项 λ · lse² 中的 λ（默认 0）"),
    "cli.softcap": (
        "c > 0 of the cap c · tanh(z / c) (default: none)",
        "上限 c · tanh(z / c) 中的 c，须大于 0（默认不设上限）",
    ),
    "cli.logit_scale": ("factor on the logits, before the cap (default: 1)", "logits 的缩放系数，先于上限（默认 1）"),
    "cli.html": (
        "write a page with sliders; without LOGITS the whole chain as one page to play with",
        "写出带滑块的网页；不给 LOGITS 时写出可以动手的整条推导",
    ),
    "cli.plot": ("write a figure: .png, .svg or .pdf", "写出图像：.png、.svg 或 .pdf"),
    "cli.json": ("print JSON, whose steps are tables", "输出 JSON，每一步是一张表"),
    "cli.markdown": ("print Markdown", "输出 Markdown"),
    "cli.lang": ("language (default: that of the locale)", "语言（默认取自系统设置）"),
    "cli.unit": ("unit of information (default: nat)", "信息量的单位（默认 nat）"),
    "cli.max_rows": ("rows shown at most (default: 6)", "最多展示的行数（默认 6）"),
    "cli.max_classes": ("classes shown at most in a row (default: 8)", "每行最多展示的类别数（默认 8）"),
    "cli.no_int": ("{text!r} is no whole number", "{text!r} 不是整数"),
    "cli.no_float": ("{text!r} is no number", "{text!r} 不是数"),
    "cli.alone": (
        "{file}: one array alone; give the targets in a second file, or both arrays in one, named logits and labels",
        "{file}：里面只有一个数组；请用第二个文件给出目标，或把两个数组以 logits 和 labels 为名放在同一个文件里",
    ),
    "cli.alone_kind": (
        "{file}: one array alone, as a file of this kind has without names; give the targets in a second file, or name "
        "the columns in the first line of a CSV file, as a,b,c,label",
        "{file}：里面只有一个数组（这种文件没有列名时只能有一个）；请用第二个文件给出目标，或在 CSV 首行写上列名，"
        "例如 a,b,c,label",
    ),
    "cli.one_stdin": ("- can stand for one file only", "- 只能代替一个文件"),
    "cli.label": (
        "{file}: the label of row [{row}] is {label}, expected one of 0 … {last}{hint}",
        "{file}：第 [{row}] 行的标签是 {label}，应在 0 … {last} 之间{hint}",
    ),
    "cli.label_padding": (", or --ignore-index {label}", "，或用 --ignore-index {label} 忽略"),
    "cli.label_paddings": (
        " — padding? give all of it one label, and --ignore-index",
        "——填充？请统一用同一个标签，并用 --ignore-index 忽略",
    ),
    "cli.label_from_one": (" — labels that start at 1? subtract 1", "——标签从 1 开始？请减去 1"),
    "cli.label_from_one_but": (
        " — labels that start at 1? subtract 1 from all but the ignored ones",
        "——标签从 1 开始？除被忽略的以外，请减去 1",
    ),
    "cli.label_classes": (
        " — labels up to {most} need {needed} columns of logits",
        "——标签最大为 {most}，logits 需要 {needed} 列",
    ),
    "cli.label_broken": (
        "{file}: the label of row [{row}] is {label}, expected a whole number",
        "{file}：第 [{row}] 行的标签是 {label}，应为整数",
    ),
    "cli.scalar": (
        "{file}: {role} is a single number, expected an array with an axis of classes",
        "{file}：{role} 只是一个数，应为带有类别轴的数组",
    ),
    "cli.shape": (
        "{file}: the targets have shape ({got}), expected ({rows}) for class indices or ({full}) "
        "for class probabilities",
        "{file}：目标的形状是（{got}），应为（{rows}，类别标签）或（{full}，类别概率）",
    ),
    "cli.unwritable": ("{option}: cannot write {file}: {reason}", "{option}：无法写入 {file}：{reason}"),
    "cli.overwrites": (
        "{option}: {file} is read as well, and would be lost: give another name",
        "{option}：{file} 同时是输入文件，会被覆盖：请换一个文件名",
    ),
    "cli.figure": ("--plot: {file}: expected .png, .svg or .pdf", "--plot：{file}：扩展名应为 .png、.svg 或 .pdf"),
    "cli.missing": ("{option} needs {package}: {command}", "{option} 需要 {package}：{command}"),
    "cli.like_probs": (
        "{file}: each row sums to 1, as probabilities do, and was taken for logits: did you mean --probs?",
        "{file}：每一行之和都是 1，像是概率，这里却当作 logits：是不是应该加 --probs？",
    ),
    "cli.unit_of_chain": (
        "The page has a switch of its own between nats and bits; --unit is for what is printed.",
        "网页里可以自行切换奈特与比特；--unit 只管终端输出。",
    ),
    "cli.written": ("Written: {file} ({title})", "已写入 {file}（{title}）"),
    "example.one_six": ("a six in six rolls", "六次中出现六点"),
    "example.all_sixes": ("six sixes", "六次全是六点"),
} | FILES


def say(lang: Language, key: str, **values: object) -> str:
    """The words of a key in a language."""
    text = WORDS[key][languages().index(lang)]
    return _ONE.sub(r"1 \1", text.format(**values)) if values else text


_ONE = re.compile(r"(?<![\w.,])1 (row|class|pair|distribution|outcome)(?:es|s)\b")
"""One thing, of which words for many speak."""


def languages() -> tuple[Language, ...]:
    """Those that there are words in."""
    return get_args(Language)


def language(lang: str | None) -> Language:
    """The language that was asked for, or that of the locale."""
    if lang is None:
        return of_locale()
    if lang not in languages():
        raise ArgumentValueError(f"lang is {lang!r}, expected 'en' or 'zh'")
    return cast(Language, lang)
