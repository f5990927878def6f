"""Every word of the page, in English and in Chinese. Formulae stand between dollars; "js." words are the scripts'."""

_UNITS = (
    '<div class="choice tabs units" role="group" aria-label="{}"><button type="button" data-nat aria-pressed="true">nat'
    '</button><button type="button" data-bit aria-pressed="false">bit</button></div>'
)

WORDS: dict[str, tuple[str, str]] = {
    "title": ("From surprise to a trained model", "从信息量到训练好的模型"),
    "lead": (
        "Cross entropy, one idea at a time. Everything drawn can be moved: drag a point or a bar, or choose it "
        "with the "
        "Tab key and use the arrows.",
        "交叉熵，一步一个概念。<br>图中的圆点和柱子都可以拖动，也可用 Tab 键选中后按方向键。",
    ),
    "nav": ("The chain", "内容"),
    "theme": ("Light or dark", "浅色或深色"),
    "still": (
        "Without JavaScript the figures are not drawn. The numbers are those they open with.",
        "没有 JavaScript，图无法绘制；文中的数字是各图初始状态的数值。",
    ),
    "presets": ("Examples", "例子"),
    "units": (_UNITS.format("Unit"), _UNITS.format("单位")),
    "back": ("Back", "上一步"),
    "next": ("Next step", "下一步"),
    "reset": ("Reset", "重置"),
    # 1
    "information.nav": ("$−\\log p$", "$−\\log p$"),
    "information.title": ("The rarer it is, the more it tells", "越少见，信息量越大"),
    "information.text": (
        "An event of probability $p$ carries $−\\log p$ of information. What was certain tells nothing; each time the "
        "probability is halved, one more bit. Probabilities of independent events multiply, so their information adds: "
        "six sixes in a row tell six times as much as one.",
        "概率为 $p$ 的事件，信息量是 $−\\log p$。必然发生的事不带来任何信息；概率每减半，信息量就多 1 比特。"
        "独立事件的概率相乘，信息量便相加：连着六个六点，信息量恰好是一个六点的六倍。",
    ),
    "information.coin": ("heads", "硬币正面"),
    "information.six": ("a six", "掷出六点"),
    "information.one": ("a six in six rolls", "六次里有六点"),
    "information.all": ("six sixes", "六次全是六点"),
    "information.caption": ("Drag the point along the curve.", "沿曲线拖动圆点。"),
    # 2
    "entropy.nav": ("$H(p)$", "$H(p)$"),
    "entropy.title": ("Entropy is information on average", "熵：平均的信息量"),
    "entropy.text": (
        "Weigh what each outcome tells by how often it happens, and add up. The more evenly the chances are "
        "spread, the "
        "larger the entropy; it is largest when all outcomes are equally likely. A sure outcome leaves none.",
        "把每个结果的信息量按它发生的概率加权求和，就是熵。概率分得越均匀，熵越大；各个结果等可能时最大。"
        "如果结果早已确定，熵就是 0。",
    ),
    "entropy.most": ("at most", "最大"),
    "entropy.kind": ("What is drawn at random", "随机对象"),
    "entropy.coin": ("coin", "硬币"),
    "entropy.die": ("die", "骰子"),
    "entropy.three": ("three classes", "三个类别"),
    "entropy.even": ("Even", "均匀"),
    "entropy.certain": ("Certain", "确定"),
    "entropy.caption": (
        "Pull a bar; the others make room. Beside it: what each outcome adds to the entropy or, of a coin and of three "
        "classes, the entropy of all distributions there are.",
        "拉动一根柱子，其余的会相应让出。旁边画的是每个结果对熵的贡献；硬币和三个类别则画出所有可能分布的熵。",
    ),
    # 3
    "divergence.nav": ("$\\KL$", "$\\KL$"),
    "divergence.title": ("What a wrong belief costs", "相对熵：信错了，多付多少"),
    "divergence.text": (
        "Outcomes follow $p$, but you expect $q$. The relative entropy, or KL divergence, is what that costs on "
        "average. A block is $p_c$ wide and $\\log p_c/q_c$ high: its area is paid above the line and saved below it. "
        "What is saved never outweighs what is paid. Swap the two: the price is another, so it is no distance.",
        "真实分布是 $p$，你却按 $q$ 来预期，平均要多付的就是相对熵，也叫 KL 散度。每一块宽 $p_c$，高 $\\log p_c/q_c$："
        "线上的面积是多付的，线下的是省下的，省下的永远抵不过多付的。把两者对调，数值就变了，所以它不是距离。",
    ),
    "divergence.whole": (
        "Cross entropy is the whole price. The entropy of the truth is in it, and no model can lower that: making "
        "cross "
        "entropy small makes the divergence small.",
        "交叉熵是总的代价，其中真实分布的熵是任何模型都降不下去的。所以把交叉熵变小，就是把相对熵变小。",
    ),
    "divergence.sure": ("a label", "换成标签"),
    "divergence.caption": (
        "Pull the bars of the truth $p$ and of the belief $q$. Where $q$ is 0 and $p$ is not, the price is infinite.",
        "拉动真实分布 $p$ 与预测分布 $q$ 的柱子。若某处 $q$ 为 0 而 $p$ 不为 0，代价就是无穷大。",
    ),
    # 4
    "densities.nav": ("$\\int$", "$\\int$"),
    "densities.title": ("The same for densities", "连续分布也一样"),
    "densities.text": (
        "Sums become integrals. An entropy may now be negative; a divergence may not. For two normal densities each "
        "integral can be done by hand, in four steps.",
        "求和换成积分。这时熵可以是负数，相对熵仍然不会。对两个正态分布，每个积分都能手算，只需四步。",
    ),
    "densities.step1": ("The logarithm of a normal density is a parabola.", "正态密度取对数，是一条抛物线。"),
    "densities.step2": (
        "On average $(x − μ_p)^2$ is $σ_p^2$: that leaves a half.",
        "$(x − μ_p)^2$ 的期望是 $σ_p^2$，于是剩下二分之一。",
    ),
    "densities.step3": (
        "Seen from $μ_q$, it is $σ_p^2$ and the square of the way between.",
        "以 $μ_q$ 为中心时，期望是 $σ_p^2$ 加上两个均值之差的平方。",
    ),
    "densities.step4": ("The first minus the second.", "前一个减去后一个。"),
    "densities.caption": (
        "Drag the peaks sideways and the points on the flanks outwards. Below: the integrand, whose area is the "
        "divergence.",
        "左右拖动峰顶，或向外拖动两侧的圆点。下图是被积函数，它的面积就是相对熵。",
    ),
    # 5
    "label.nav": ("$−\\log q_y$", "$−\\log q_y$"),
    "label.title": ("A label leaves one logarithm", "有了标签，只剩一个对数"),
    "label.text": (
        "A label is a truth without doubt: $p$ is 1 at its class and 0 elsewhere. Its entropy is 0, and of the "
        "sum only "
        "one term remains. The loss is the information in the true class, as the model saw it.",
        "标签就是毫无疑问的真实分布：在它那一类上 $p$ 为 1，其余为 0。它的熵是 0，求和里只剩一项。"
        "损失，就是模型眼中真实类别的信息量。",
    ),
    "label.choose": ("The true class", "真实类别"),
    "label.caption": (
        "Choose the label, or pull the prediction. Dashed: the truth.",
        "选择标签，或拉动预测的柱子。虚线是真实分布。",
    ),
    # 6
    "batch.nav": ("(3, 5)", "(3, 5)"),
    "batch.title": ("A batch, as PyTorch computes it", "一个批次：PyTorch 怎么算"),
    "batch.text": (
        "A network ends in logits: any numbers, here for three images and five classes. <code>softmax</code> "
        "makes each "
        "row a distribution, <code>log_softmax</code> takes logarithms, <code>nll_loss</code> picks the label's and "
        "averages. <code>cross_entropy</code> does both at once.",
        "网络最后输出 logits，可以是任意的数；这里是三张图片、五个类别。<code>softmax</code> 把每一行变成概率分布，"
        "<code>log_softmax</code> 再取对数（得到对数概率；标签那一个就是对数似然），"
        "<code>nll_loss</code> 取出标签那一个，取负并求平均。<code>cross_entropy</code> 一次做完这两件事。",
    ),
    "batch.logits": ("logits <i>z</i>", "logits <i>z</i>"),
    "batch.softmax": ("softmax: <i>q</i>", "softmax：<i>q</i>"),
    "batch.log_softmax": ("log_softmax: log <i>q</i>", "log_softmax：log <i>q</i>"),
    "batch.logit": ("Logit of row {row}, class {name}", "第 {row} 行类别 {name} 的 logit"),
    "batch.rows": ("$−\\log q_y$ of each row", "每一行的 $−\\log q_y$"),
    "batch.caption": (
        "Type other logits. Click a cell of log_softmax to make it the label. A cell that is pointed at lights up with "
        "its terms.",
        "可以改写 logits；点击 log_softmax 的格子，把它设为标签。指向某个格子时，公式里对应的项会亮起来。",
    ),
    # 7
    "temperature.nav": ("temperature", "温度"),
    "temperature.title": ("Temperature: how sure to be", "温度：该有多自信"),
    "temperature.text": (
        "Divide the logits by $T$. Cold, the largest takes all; hot, all become alike and the entropy rises to "
        "$\\log 5$ = 1.6094. Which class is first, second, last never changes.",
        "让 logits 除以 $T$。温度低，最大的那一类独占概率；温度高，各类趋于相同，熵升向 $\\log 5$ = 1.6094。"
        "谁先谁后的次序始终不变。",
    ),
    "temperature.caption": ("Dashed: $T = 1$.", "虚线：$T = 1$。"),
    # 8
    "gradient.nav": ("gradient", "梯度"),
    "gradient.title": ("The gradient is belief minus truth", "梯度：预测减去真实"),
    "gradient.text": (
        "The derivative of the loss by a logit is $q_c − p_c$, no more. The more wrong the model is, the harder it is "
        "pushed. A step of size $η$ moves each logit along its arrow: the true class up, the others down.",
        "损失对每个 logit 的导数就是 $q_c − p_c$。模型错得越厉害，推力越大。走一步（步长 $η$），"
        "每个 logit 沿箭头移动：真实类别上升，其余下降。",
    ),
    "gradient.rate": ("Learning rate", "学习率"),
    "gradient.step": ("One step", "走一步"),
    "gradient.caption": (
        "Arrows: the way to $p$. Below: the loss after each step.",
        "箭头指向 $p$。下图是每一步之后的损失。",
    ),
    # 9
    "training.nav": ("training", "训练"),
    "training.title": ("Which loss learns?", "用哪种损失才学得会？"),
    "training.text": (
        "One small network on three arms of a spiral, from one start, with one step size; only the loss differs. "
        "Squared "
        "error on softmax goes flat where the model is surely wrong. A second softmax squeezes the logits into "
        "[0, 1]: its loss cannot fall below 0.5514, and hardly pushes. Cross entropy of the logits pushes in "
        "proportion to the error.",
        "同一个小网络，同样的起点和步长，给三条螺旋臂上的点分类，只换损失函数。"
        "softmax 加平方误差，在“自信地犯错”的地方几乎没有梯度。"
        "多做一次 softmax，logits 被压进 [0, 1]，损失永远降不到 0.5514 以下，推力也很弱。"
        "直接对 logits 求交叉熵，错多少就推多少。",
    ),
    "training.start": ("Start", "开始"),
    "training.begin": ("The start", "起点"),
    "training.sure": ("start: surely wrong", "起点：自信地犯错"),
    "training.careful": ("start: unsure", "起点：没有把握"),
    "training.steps": ("step", "步数"),
    "training.mse": ("Squared error", "平方误差"),
    "training.double": ("softmax, then the loss", "先 softmax 再求损失"),
    "training.own": ("Cross entropy", "交叉熵"),
    "training.map": ("Which class the network sees where", "网络在各处判断的类别"),
    "training.caption": (
        "All three are judged by the same measure: the mean of $−\\log q_y$. Below: what each network sees, and "
        "the share "
        "of points it gets right.",
        "三者用同一把尺子衡量：$−\\log q_y$ 的平均值。下方是各网络眼中的平面，以及分对的比例。",
    ),
    # 10
    "names.nav": ("names", "函数"),
    "names.title": ("Classes and functions", "类与函数"),
    "names.text": (
        "<code>torch.nn</code> has classes to be constructed first, <code>torch.nn.functional</code> functions to be "
        "called. <code>crossentropy.nn</code> and <code>crossentropy.functional</code> have the same names and "
        "arguments.",
        "<code>torch.nn</code> 里是类，先构造再调用；<code>torch.nn.functional</code> 里是函数，直接调用。"
        "<code>crossentropy.nn</code> 与 <code>crossentropy.functional</code> 的名称和参数与之相同。",
    ),
    "names.class": ("class (nn)", "类（nn）"),
    "names.function": ("function (functional)", "函数（functional）"),
    "names.takes": ("takes", "输入"),
    "names.when": ("for", "用途"),
    "names.logits": ("logits", "logits"),
    "names.logs": ("log-probabilities, labels", "对数概率、标签"),
    "names.logits_labels": ("logits, labels", "logits、标签"),
    "names.logits_yes": ("one logit per question", "每个问题一个 logit"),
    "names.two": ("log-probabilities, probabilities", "对数概率、概率"),
    "names.hidden": ("hidden states, head, labels", "隐藏状态、输出层、标签"),
    "names.softmax": ("probabilities to look at, not to train with", "查看概率；不用于训练"),
    "names.log_softmax": ("log-probabilities, scores to compare", "对数概率，用来比较打分"),
    "names.nll_loss": ("a model that ends in log_softmax", "以 log_softmax 结尾的模型"),
    "names.cross_entropy": ("classification: the usual choice", "分类任务的首选"),
    "names.kl_div": ("a distribution as target, as a teacher's", "目标是一个分布，如教师模型的输出"),
    "names.bce": ("yes or no, several may be true", "是非判断，可以同时有多个为真"),
    "names.linear": ("large vocabularies: the logits are never built", "词表很大时：不必生成 logits"),
    "names.statistics": ("ours: log-probability and entropy in one pass", "本库特有：一遍算出对数概率与熵"),
    "names.switch": ("the same code, with this package's losses", "代码不变，换成本库的损失"),
    # what scripts say
    "js.nat": ("nat", "奈特"),
    "js.bit": ("bit", "比特"),
    "js.point": ("Probability", "概率"),
    "js.curve": ("Information against probability", "信息量随概率变化的曲线"),
    "js.bar": ("Probability of {name}", "{name} 的概率"),
    "js.truth": ("True probability of {name}", "{name} 的真实概率"),
    "js.belief": ("Believed probability of {name}", "{name} 的预测概率"),
    "js.triangle": ("Distribution of three classes; arrow keys move it", "三个类别的分布，可用方向键移动"),
    "js.distribution": ("Probabilities as bars", "概率柱状图"),
    "js.land": ("Entropy", "熵"),
    "js.heads": ("heads", "正面"),
    "js.tails": ("tails", "反面"),
    "js.entropy_of": ("entropy {h}", "熵 {h}"),
    "js.blocks": (
        "Blocks p wide and log(p/q) high; their signed area is the divergence",
        "宽 p、高 log(p/q) 的块，带符号的总面积即相对熵",
    ),
    "js.sum": ("Entropy and divergence add up to the cross entropy", "熵与相对熵之和为交叉熵"),
    "js.divergence_of": ("divergence {kl}, cross entropy {ce}", "相对熵 {kl}，交叉熵 {ce}"),
    "js.normals": ("Two normal densities", "两个正态密度"),
    "js.integrand": ("p log(p/q), whose area is the divergence", "p log(p/q)，面积即相对熵"),
    "js.mean": ("Mean of {name}", "{name} 的均值"),
    "js.spread": ("Standard deviation of {name}", "{name} 的标准差"),
    "js.loss_of": ("loss {loss}", "损失 {loss}"),
    "js.row": ("row {row}: ", "第 {row} 行："),
    "js.axis": ("H ({unit})", "H（{unit}）"),
    "js.path": ("Loss after each step", "每一步之后的损失"),
    "js.losses": ("Loss curves of three trainings", "三次训练的损失曲线"),
    "js.start": ("Start", "开始"),
    "js.pause": ("Pause", "暂停"),
    "js.go_on": ("Go on", "继续"),
    "js.right": ("{share} right", "分对 {share}"),
    "js.trained": ("step {step}: {mse}, {double} and {own}", "第 {step} 步：{mse}、{double}、{own}"),
    "js.mse": ("squared error", "平方误差"),
    "js.double": ("two softmaxes", "两次 softmax"),
    "js.own": ("cross entropy", "交叉熵"),
}
