"""The demonstration in Chinese: phrases of a `PhraseBook`, by the English of the acts."""

CHAIN: dict[str, str] = {
    "1. The chain": "一、从信息量到损失",
    "The rarer an outcome, the more it tells: −log P. Entropy is what outcomes tell on average, and it is largest when all "
    "are equally likely. The divergence KL(p‖q) is what believing q costs when the truth is p; entropy plus divergence is "
    "the cross entropy, which for a label is −log q of the true class.": (
        "越罕见的结果，带来的信息越多：−log P。熵是各个结果平均带来的信息量，所有结果等可能时最大。"
        "相对熵 KL(p‖q) 是真实分布为 p 却相信 q 所付出的代价；熵加上相对熵就是交叉熵。对一个标签来说，它就是真实类别的 −log q。"
    ),
    "A network gives logits z; log_softmax makes them logarithms of probabilities; the loss is the mean of those of the "
    "labels, negated. A batch of three samples and five classes, whose labels are B, D and E:": (
        "网络输出 logits z；log_softmax 把它们变成概率的对数；取标签对应的那些对数，求平均再取相反数，就是损失。"
        "下面是三个样本、五个类别的一个批次，标签依次为 B、D、E："
    ),
    "All of this as one page to play with is written beside the report: {file}.": (
        "以上内容还做成了可以动手操作的一页 {file}，会与报告一起写出。"
    ),
    "what": "量",
    "formula": "公式",
    "value": "数值",
    "= torch": "与 torch 相同",
    "yes": "是",
    "NO: {values}": "否：{values}",
    "−log₂ P": "−log₂ P",
    "H(p), bit": "H(p)，比特",
    "at least one six in six rolls": "掷六次骰子，至少出现一次六点",
    "six sixes in six rolls": "掷六次骰子，六次都是六点",
    "entropy of {distribution}": "{distribution}的熵",
    "a certain outcome": "必然发生的结果",
    "a coin, 9 heads to 1 tail": "正反面之比为 9 : 1 的硬币",
    "a fair coin": "均匀的硬币",
    "a die loaded to half sixes": "一半为六点的作弊骰子",
    "a fair die": "均匀的骰子",
    "entropy of the label p = [0, 1, 0]": "标签 p = [0, 1, 0] 的熵",
    "divergence of q = [0.1, 0.2, 0.7]": "q = [0.1, 0.2, 0.7] 的相对熵",
    "cross entropy": "交叉熵",
    "… is entropy plus divergence": "……等于熵加相对熵",
    "Information over (0, 1], and the entropy of a coin: largest when it is fair.": (
        "(0, 1] 上的信息量，以及硬币的熵：硬币均匀时熵最大。"
    ),
    "probability of the outcome": "结果的概率",
    "bit": "比特",
    "information −log₂ p": "信息量 −log₂ p",
    "probability of heads": "正面的概率",
    "entropy of a coin": "硬币的熵",
}

DIGITS: dict[str, str] = {
    "2. Change the loss to cross entropy": "二、把损失换成交叉熵",
    "(a) squared error on softmax outputs": "(a) softmax 输出的平方误差",
    "(b) cross entropy on softmax outputs": "(b) softmax 输出的交叉熵",
    "(c) cross entropy on logits": "(c) logits 的交叉熵",
    "0 (no nats)": "0（单位不是 nat）",
    "loss that was minimised": "训练用的损失",
    "at the end": "最终值",
    "least possible": "下界",
    "test accuracy": "测试准确率",
    "test cross entropy": "测试交叉熵",
    "The same small network (64 → 64 → 10), the same seed, the same optimiser, on real scans of handwritten digits: only the "
    "loss differs. A blind guess costs ln 10 = {nats} nat.": (
        "同样的小网络（64 → 64 → 10）、同样的随机种子、同样的优化器，数据是真实的手写数字扫描：只有损失不同。"
        "完全靠猜的损失是 ln 10 = {nats} nat。"
    ),
    "To read nine of ten test scans takes cross entropy on logits {right}, squared error {squared}, cross entropy on softmax "
    "outputs {twice}.": (
        "要认对九成的测试扫描，logits 的交叉熵需要 {right}，平方误差需要 {squared}，softmax 输出的交叉熵需要 {twice}。"
    ),
    "more than {count} epochs": "超过 {count} 轮",
    "{count} epochs": "{count} 轮",
    "{count} epoch": "{count} 轮",
    "Applying softmax before cross_entropy is wrong without an error: the loss cannot fall below {floor} however good the "
    "network is, and its gradient is flattened twice.": (
        "在 cross_entropy 之前做 softmax 不会报错，却是错的：网络再好，损失也不会低于 {floor}，梯度还被压平了两次。"
    ),
    "The gradient of squared error on softmax outputs is multiplied by the Jacobian of the softmax, diag(p) − ppᵀ, which "
    "vanishes where the network is confidently wrong; the gradient of cross entropy on logits is p − y, largest just there.": (
        "softmax 输出的平方误差，其梯度要乘以 softmax 的雅可比矩阵 diag(p) − ppᵀ；网络错得很有把握时，它趋于零。"
        "而 logits 的交叉熵的梯度是 p − y，恰恰在那里最大。"
    ),
    "epoch": "轮次",
    "accuracy on the test scans": "测试扫描的准确率",
    "floor of (b): {floor}": "(b) 的下界：{floor}",
    "blind guess: ln 10": "完全靠猜：ln 10",
    "training loss in nats, (b) and (c)": "(b) 与 (c) 的训练损失（nat）",
    "Learning curves of the three losses, and the floor that (b) cannot pass.": (
        "三种损失的学习曲线，以及 (b) 无法越过的下界。"
    ),
}

LANGUAGE: dict[str, str] = {
    "3. A language model": "三、语言模型",
    "the source of Python {version}'s library": "Python {version} 标准库的源代码",
    "ours, linear": "本库的 linear_cross_entropy",
    "torch, full logits": "torch，完整的 logits",
    "torch + fuse(model)": "torch + fuse(model)",
    "loss of the first step": "第一步的损失",
    "loss of the last step": "最后一步的损失",
    "loss on {words} test words": "{words} 个测试词上的损失",
    "… bits per word": "……每词比特数",
    "… perplexity": "……困惑度",
    "words per second": "每秒训练词数",
    "peak memory of a step": "单步的内存峰值",
    "Trained on {source}: {words} words, a vocabulary of {size}. A recurrent model with {features} features and a tied head, "
    "{steps} steps of {batch} words. Knowing only how frequent each word is costs {nats} nat per word.": (
        "训练文本是 {source}：共 {words} 个词，词表大小为 {size}。循环网络，{features} 维特征，输出层与词嵌入共享权重，"
        "训练 {steps} 步，每步 {batch} 个词。只知道各词的频率时，每词的损失是 {nats} nat。"
    ),
    "For the same parameters the losses agree to {difference}: one rounding of float32 is 6e-08. Trainings from one seed "
    "drift apart slowly, because roundings differ.": (
        "参数相同时，几种损失的差不超过 {difference}；float32 的一次舍入是 6e-08。"
        "同一种子的几次训练会慢慢分开，因为舍入不同。"
    ),
    "Ours is linear_cross_entropy, of hidden states and head; torch is cross_entropy on full logits. Our loss never builds "
    "the logits: it makes them chunk by chunk and turns each chunk into gradients at once, hence the memory shown. The last "
    "column is torch's program, unchanged but for crossentropy.fuse: the model's head returns logits that wait to be asked "
    "for, and the loss does not ask.": (
        "第一列是本库的 linear_cross_entropy，直接由隐藏状态与输出层权重计算；第二列是 torch 对完整 logits 的 cross_entropy。"
        "本库的损失从不生成完整的 logits：每次只算一块，随即变成梯度，内存因此如表中所示。"
        "最后一列是 torch 的程序，只多了一行 crossentropy.fuse：模型的输出层返回的 logits 等到有人要时才计算，而损失并不需要它们。"
    ),
    "Cross entropy per word in nats, divided by ln 2, is bits per word; its exponential is the perplexity, the number of "
    "equally likely words among which the model is left to guess.": (
        "每词的交叉熵（单位 nat）除以 ln 2，是每词的比特数；取指数则是困惑度，相当于模型要在多少个等可能的词中猜一个。"
    ),
    "The trainings, from the same seed.": "同一随机种子的几次训练。",
    "word frequencies alone": "只知词频",
    "step": "步骤",
    "nats per word": "nat / 词",
    "training loss": "训练损失",
}

COMMAND: dict[str, str] = {
    "crossentropy: from −log p to a language model": "crossentropy：从 −log p 到语言模型",
    "its formula, with the numbers of the first row": "公式，代入第一行的数",
    "three trainings, in turns": "三个训练交替进行",
    "testing the three models": "测试三个模型",
    "loading torch": "加载 torch",
    "reading the text": "读取文本",
    "Done in {seconds} s. The report, with figures: {file}": "用时 {seconds} 秒。带图的报告：{file}",
    "A number differs from torch's: see above.": "有数值与 torch 不同：见上文。",
    "{source} has {count} words, expected at least {least}": "{source} 只有 {count} 个词，至少需要 {least} 个",
    "cannot read {file}: {reason}": "无法读取 {file}：{reason}",
    "cannot write {file}: {reason}": "无法写入 {file}：{reason}",
    "--text: {reason}": "--text：{reason}",
    "--out: {reason}": "--out：{reason}",
    "not UTF-8 text": "不是 UTF-8 文本",
    "a {kind}, expected a file": "这是 {kind}，应为文件",
    "{package} is missing — {command}": "缺少 {package}——请运行 {command}",
    "No such file or directory": "文件或目录不存在",
    "Is a directory": "这是目录",
    "Not a directory": "不是目录",
    "Permission denied": "没有权限",
}
"""What the command says besides."""

PHRASES: dict[str, str] = {**CHAIN, **DIGITS, **LANGUAGE, **COMMAND}
