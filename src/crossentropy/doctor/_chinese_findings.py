"""What the doctor says of findings, in Chinese: phrases of a `PhraseBook`, by the English of `_knowledge` and examiners."""

PLACES: dict[str, str] = {
    "{path}, cell {cell}, line {line}": "{path} 第 {cell} 个单元格第 {line} 行",
    "{name} (made at {place})": "{name}（创建于 {place}）",
    "{what} at {place}": "{what}（{place}）",
    " at {place}": "（{place}）",
    " (at {places})": "（{places}）",
    " of {place}": "（{place}）",
    ", {shape},": "（形状 {shape}）",
    "{message} (as the defaults have it: the callers of this function were not given)": (
        "{message}（按默认参数推断：没有给出调用该函数的文件）"
    ),
    "{message} (where the option {name} is {value})": "{message}（选项 {name} 为 {value} 时）",
}
"""Where something is, and under which conditions."""

NUMBERS: dict[str, str] = {
    "the loss is {value}": "损失为 {value}",
    "on the logits it would be {value}": "若传入 logits 则为 {value}",
    "{bound}, and its gradient is {factor}× smaller": "{bound}，梯度小到 1/{factor}",
    "{share} of the logits are 0 and have no gradient": "{share} 的 logits 为 0，没有梯度",
    "{number} is no probability": "{number} 不是概率",
    "{number} a row on average": "平均每行 {number} 个",
    "rows that sum to {low} … {high}, with negative entries": "行和在 {low} … {high} 之间、且含负数的行",
    "rows that sum to {low} … {high}": "行和在 {low} … {high} 之间的行",
    "rows that sum to {sum}": "行和为 {sum} 的行",
    "{share}, without which the loss would be {value}": "{share}，不计它们时损失为 {value}",
    "{share} of the labels": "占标签的 {share}",
    " in {some} of {all} rows": "（{all} 行中有 {some} 行如此）",
    "in {some} of {all} rows": "{all} 行中有 {some} 行如此",
    "over {rows} and {others} rows": "而它们的行数分别为 {rows} 与 {others}",
    "over {rows} rows": "而它们的行数为 {rows}",
    " over {rows} rows": "（{rows} 行）",
}
"""What numbers were seen."""

INPUTS: dict[str, str] = {
    "the loss can never go below {floor} for {classes} classes": "{classes} 类时损失不会低于 {floor}",
    "the loss can never go below ln(1 + (C − 1)/e) for C classes, 1.461 for 10": (
        "C 类时损失不会低于 ln(1 + (C − 1)/e)，10 类时为 1.461"
    ),
    "logits that differ by 1 at most make no class likely": "彼此最多相差 1 的 logits 无法让任何一类的概率很大",
    "what looks like probabilities at {place}, rows that sum to 1,": "看上去是概率的数（{place}，每行之和为 1）",
    "what looks like probabilities, rows that sum to 1,": "看上去是概率的数（每行之和为 1）",
    "{what} feeds {title}, which takes logits and applies softmax itself: numbers between 0 and 1 make distributions "
    "that are almost uniform": (
        "{what} 的结果传给了 {title}，而它需要 logits 并自己做 softmax：0 到 1 之间的数得到的分布几乎是均匀的"
    ),
    "{what} feeds {title} as the teacher's, which takes logits and applies softmax itself: numbers between 0 and 1 make "
    "distributions that are almost uniform": (
        "{what} 的结果作为教师传给了 {title}，而它需要 logits 并自己做 softmax：0 到 1 之间的数得到的分布几乎是均匀的"
    ),
    "{what} feeds {title}, which applies log_softmax itself: {why}": (
        "{what} 的结果传给了 {title}，而它自己会做 log_softmax：{why}"
    ),
    "{what} feeds {title}, which takes logits: {why}": "{what} 的结果传给了 {title}，而它需要 logits：{why}",
    "{what} feeds {title}, which applies it again: the same value, twice the work": (
        "{what} 的结果传给了 {title}，而它会再做一次：值不变，只是多算一遍"
    ),
    "the ReLU{where} is the last operation before {before}: {told}no class can be ruled out, and where all logits are 0 "
    "there is no gradient": (
        "ReLU{where} 是 {before} 之前的最后一步运算：{told}任何一类都排除不掉，而所有 logits 为 0 时没有梯度"
    ),
    "{share} of the logits are 0 and have no gradient; ": "{share} 的 logits 为 0，没有梯度；",
    "log_softmax and {loss}": "log_softmax 与 {loss}",
    "softmax and {loss}": "softmax 与 {loss}",
    "on its way to {loss}": "发生在通往 {loss} 的途中",
    "in the cross entropy of {place}": "发生在 {place} 的交叉熵中",
    "the cross entropy of {place}": "{place} 的交叉熵",
    "in the loss of {place}": "发生在 {place} 的损失中",
    "after the softmax{place}": "发生在 softmax{place} 之后",
    "{what} feeds {title}, which takes log-probabilities: {told}it is minus a mean probability, between −1 and 0": (
        "{what} 的结果传给了 {title}，而它需要对数概率：{told}它成了概率平均值的相反数，落在 −1 与 0 之间"
    ),
    "{title} gets raw scores{at}, not log-probabilities: {told}it falls without bound below 0": (
        "{title} 得到的是未归一化的分数{at}，而不是对数概率：{told}它会无限地降到 0 以下"
    ),
    "the loss is {value}; ": "损失为 {value}；",
    "the loss is {value}; on the logits it would be {right}; ": "损失为 {value}，若传入 logits 则为 {right}；",
    "{number} is no probability; ": "{number} 不是概率；",
    "{what} is taken over {axis}, and {title} reads the classes along axis {other}: rows are not normalised": (
        "{what} 沿{axis}计算，而 {title} 沿第 {other} 轴读取类别：各行没有归一化"
    ),
    "{what} is taken over {axis}, and {title} reads the classes along axis {other}: rows are not normalised, they sum "
    "to {sums} instead of 1": (
        "{what} 沿{axis}计算，而 {title} 沿第 {other} 轴读取类别：各行没有归一化，行和为 {sums} 而不是 1"
    ),
    "axis {axis}": "第 {axis} 轴",
    "an axis that is gone": "已不存在的轴",
    "{what} is taken over axis {axis}, and the classes are read along axis {other} here: rows are not normalised": (
        "{what} 沿第 {axis} 轴计算，而这里沿第 {other} 轴读取类别：各行没有归一化"
    ),
    "{what} feeds {title}: its {classes} outputs sum to 1, so that several labels of a row cannot all be likely": (
        "{what} 的结果传给了 {title}：它的 {classes} 个输出之和为 1，一行的几个标签不可能都有很大的概率"
    ),
    "{what} feeds {title}, which applies the sigmoid itself: {told}the loss can never go below 0.313 for a positive, "
    "0.693 for a negative": (
        "{what} 的结果传给了 {title}，而它自己会做 sigmoid：{told}正例的损失不会低于 0.313，负例不会低于 0.693"
    ),
    "{title} takes probabilities and gets log-probabilities{at}, of which none is above 0: use cross_entropy on the "
    "logits, or nll_loss": (
        "{title} 需要概率，得到的却是对数概率{at}，它们都不大于 0：请对 logits 使用 cross_entropy，或改用 nll_loss"
    ),
    "{title} takes probabilities and gets raw scores{at}: {told}use binary_cross_entropy_with_logits": (
        "{title} 需要概率，得到的却是未归一化的分数{at}：{told}请使用 binary_cross_entropy_with_logits"
    ),
    "{what} feeds the input of {title}, which takes log-probabilities: give it log_softmax": (
        "{what} 的结果成了 {title} 的输入，而它需要对数概率：请传入 log_softmax 的结果"
    ),
    "{what} is taken over the rows and not over the classes that {title} compares": (
        "{what} 沿行计算，而 {title} 比较的是各类别"
    ),
    "the target of {title} is {what}, and probabilities are expected: log_target=True": (
        "{title} 的目标是 {what} 的结果，而它需要概率：请设 log_target=True"
    ),
    "the target of {title} is what the model gives, and elsewhere that goes through softmax or log_softmax first: here "
    "its rows do not sum to 1": (
        "{title} 的目标是模型的直接输出，别处都先经过 softmax 或 log_softmax：这里各行之和不是 1"
    ),
    "{title} with reduction='mean' divides by all entries and not by the rows: the {what} is {classes}× too small — {fix}": (
        "reduction='mean' 的 {title} 除以的是所有元素的个数，而不是行数：{what}小了 {classes} 倍——{fix}"
    ),
    "{title} with reduction='mean' divides by all {entries} entries and not by the {rows} rows: the {what} is {classes}× "
    "too small — {fix}": (
        "reduction='mean' 的 {title} 除以的是全部 {entries} 个元素，而不是 {rows} 行：{what}小了 {classes} 倍——{fix}"
    ),
    "{title} with reduction='mean' divides by all {entries} entries and not by the rows: the {what} is {classes}× too "
    "small — {fix}": (
        "reduction='mean' 的 {title} 除以的是全部 {entries} 个元素，而不是行数：{what}小了 {classes} 倍——{fix}"
    ),
    "{title} with reduction='mean' divides by all entries and not by the {rows} rows: the {what} is {classes}× too small "
    "— {fix}": "reduction='mean' 的 {title} 除以的是所有元素的个数，而不是 {rows} 行：{what}小了 {classes} 倍——{fix}",
    "divergence": "散度",
    "result": "结果",
    "{title} with reduction='batchmean' divides by the first axis only, and the input has {rank}: the divergence is as "
    "many times too large as a sample has positions — flatten to (N·T, C) first": (
        "reduction='batchmean' 的 {title} 只除以第一轴的大小，而输入有 {rank} 个轴：每个样本有多少个位置，散度就大了多少倍"
        "——先展平为 (N·T, C)"
    ),
    "{title} with reduction='batchmean' divides by the first axis only, and the input has {rank}: the divergence is "
    "{times}× too large as a sample has positions — flatten to (N·T, C) first": (
        "reduction='batchmean' 的 {title} 只除以第一轴的大小，而输入有 {rank} 个轴：每个样本有 {times} 个位置，"
        "散度就大了 {times} 倍——先展平为 (N·T, C)"
    ),
    "reduction='none', .sum({axis}), then the mean over the rows": "reduction='none'，再 .sum({axis})，最后对各行取平均",
    "{title} of class outputs{at} against one-hot rows: {why}; cross_entropy on the logits is not like that": (
        "用 {title} 比较各类别的输出{at} 与独热行：{why}；对 logits 使用 cross_entropy 则不会这样"
    ),
    "a score far on the right side costs as much as one on the wrong side": "分数对得太多与错得同样多，代价相同",
    "the gradient vanishes where the model is wrong and certain": "模型错得很有把握时，梯度消失",
    "the prediction was cut from the model at {place}: no weight of the model gets a gradient": (
        "预测在 {place} 处与模型断开：模型的任何权重都得不到梯度"
    ),
}
"""Activations too many, too few, or over another axis."""

TARGETS: dict[str, str] = {
    "the first argument of {title} is the target ({kind}) and the second the prediction: input first": (
        "{title} 的第一个参数是目标（{kind}），第二个才是预测：请先写输入"
    ),
    "the first argument of {title}, {shape}, is the target ({kind}) and the second the prediction: input first": (
        "{title} 的第一个参数（形状 {shape}）是目标（{kind}），第二个才是预测：请先写输入"
    ),
    "the first argument of {title} is the target ({kind}) and the second, {shape}, the prediction: input first": (
        "{title} 的第一个参数是目标（{kind}），第二个（形状 {shape}）才是预测：请先写输入"
    ),
    "the first argument of {title}, {shape}, is the target ({kind}) and the second, {other}, the prediction: input "
    "first": "{title} 的第一个参数（形状 {shape}）是目标（{kind}），第二个（形状 {other}）才是预测：请先写输入",
    "indices": "类别编号",
    "bits": "0 与 1",
    "the second argument of {title} is the model's output{at}, which belongs first": (
        "{title} 的第二个参数是模型的输出{at}，它应该写在前面"
    ),
    "the first argument of {title} is probabilities{at} and the second log-probabilities{there}: log-probabilities "
    "first": "{title} 的第一个参数是概率{at}，第二个是对数概率{there}：对数概率应该写在前面",
    "the first argument of {title} has no gradient and the second is the model's output: input first": (
        "{title} 的第一个参数没有梯度，第二个才是模型的输出：请先写输入"
    ),
    "the first argument of {title}, {shape}, has no gradient and the second is the model's output: input first": (
        "{title} 的第一个参数（形状 {shape}）没有梯度，第二个才是模型的输出：请先写输入"
    ),
    "the first argument of {title} has no gradient and the second, {shape}, is the model's output: input first": (
        "{title} 的第一个参数没有梯度，第二个（形状 {shape}）才是模型的输出：请先写输入"
    ),
    "the first argument of {title}, {shape}, has no gradient and the second, {other}, is the model's output: input "
    "first": "{title} 的第一个参数（形状 {shape}）没有梯度，第二个（形状 {other}）才是模型的输出：请先写输入",
    "by their names the first argument of {loss}, {first}, is the target and the second, {second}, the prediction: input "
    "first": "从名字看，{loss} 的第一个参数 {first} 是目标，第二个参数 {second} 才是预测：请先写输入",
    "by their names {function} is given a {gets} for {name} and a {got} for {other}": (
        "从名字看，{function} 的参数 {name} 得到的是{gets}，{other} 得到的是{got}"
    ),
    "target": "目标",
    "prediction": "预测",
    "the input of {title} has one class{at}: softmax of one logit is 1, so the loss is 0 and so is its gradient": (
        "{title} 的输入只有一类{at}：单个 logit 的 softmax 恒为 1，损失与梯度都是 0"
    ),
    "the target of {title} has shape {shape}, expected {rows}: an axis of size 1 too many — target.squeeze{axis}": (
        "{title} 的目标形状为 {shape}，应为 {rows}：多了一个大小为 1 的轴——target.squeeze{axis}"
    ),
    "class indices have a floating dtype: {title} expects integers — target.long()": (
        "类别编号是浮点类型，而 {title} 需要整数——target.long()"
    ),
    "class indices are converted to floating point: {title} expects integers": (
        "类别编号被转换成了浮点数，而 {title} 需要整数"
    ),
    "the target of {title} is one-hot{at}, in {what} — class indices, target.argmax(1)": (
        "{title} 的目标是独热的{at}，类型为{what}——请用类别编号 target.argmax(1)"
    ),
    "integers": "整数",
    "floats: the same loss at C times the memory": "浮点数：损失相同，内存却是 C 倍",
    "the rows of the target of {title} can hold several ones{at}, and cross_entropy lets the labels of a row compete": (
        "{title} 的目标每行可以有几个 1{at}，而 cross_entropy 让同一行的标签互相竞争"
    ),
    "the rows of the target of {title} can hold several ones{at}, {number} a row on average, and cross_entropy lets the "
    "labels of a row compete": (
        "{title} 的目标每行可以有几个 1{at}，平均每行 {number} 个，而 cross_entropy 让同一行的标签互相竞争"
    ),
    "the input of {title} has shape {shape} with its classes on axis {axis}, and classes are read along axis 1 — "
    "input.{fix}": "{title} 的输入形状为 {shape}，类别轴是 {axis}，而类别沿第 1 轴读取——input.{fix}",
    "a label of {title} can be {label}, expected 0 … {last}, or ignore_index ({ignored}){hint}": (
        "{title} 的标签可能为 {label}，应为 0 … {last} 或 ignore_index（{ignored}）{hint}"
    ),
    "a label of {title} is {label}, expected 0 … {last}, or ignore_index ({ignored}){hint}": (
        "{title} 有标签为 {label}，应为 0 … {last} 或 ignore_index（{ignored}）{hint}"
    ),
    " — labels that start at 1? use target - 1": "——标签从 1 数起？请用 target - 1",
    " — pass ignore_index={label}": "——请传入 ignore_index={label}",
    "all but the largest logits of a row are −inf, and the class of {title} can be any: where it is not among them the "
    "loss is inf": "每行除最大的几个以外，logits 都是 −inf，而 {title} 的真实类别可以是任何一类：不在其中时损失为 inf",
    "the diagonal of the logits is −inf, and the labels of {title} are that diagonal, 0, 1, 2 …: the loss of each row is "
    "inf": "logits 的对角线是 −inf，而 {title} 的标签正是这条对角线 0, 1, 2 …：每一行的损失都是 inf",
    "the logit of class {label} is −inf{rows}, and the labels of {title} reach from {low} to {high}: the loss of that "
    "class is inf": "第 {label} 类的 logit 是 −inf{rows}，而 {title} 的标签在 {low} 到 {high} 之间：该类的损失为 inf",
    "labels of {title} are padded with {label}, and only {ignored} is ignored: padding counts in the mean — {fix}": (
        "{title} 的标签用 {label} 填充，而被忽略的只有 {ignored}：填充被计入平均——{fix}"
    ),
    "labels of {title} are padded with {label}, and only {ignored} is ignored: padding counts in the mean, {share} — "
    "{fix}": "{title} 的标签用 {label} 填充，而被忽略的只有 {ignored}：填充被计入平均，{share}——{fix}",
    "the target is made of tokens whose embedding has padding_idx={label}, and {title} ignores {ignored}: padding counts "
    "in the mean — {fix}": (
        "目标由词元得到，它们的 embedding 设了 padding_idx={label}，而 {title} 忽略的是 {ignored}：填充被计入平均——{fix}"
    ),
    "these labels are {what}, and models that compute their loss ignore −100 only: padding counts in the mean — {fix}": (
        "这些标签是 {what}，而自己计算损失的模型只忽略 −100：填充被计入平均——{fix}"
    ),
    "tokens that a tokenizer has filled up": "由分词器填充过的词元",
    "filled up with {label}": "用 {label} 填充过的",
    "write -100 where it is {label} that is written": "在写 {label} 的地方改写 -100",
    "the targets of {title} are the tokens that the model reads, {what}": "{title} 的目标就是模型读到的词元，{what}",
    "not shifted: position t is trained to copy token t": "没有移位：位置 t 学的是照抄第 t 个词元",
    "shifted twice: position t is trained on token t + 2": "移了两次：位置 t 学的是第 t + 2 个词元",
    "labels are shifted by one already, and {model} shifts them itself: position t is trained on token t + 2": (
        "标签已经移了一位，而 {model} 自己还会再移：位置 t 学的是第 t + 2 个词元"
    ),
    "weight comes in batches, as the target of {loss} does: one number for each sample, where one for each class is "
    "expected": "weight 与 {loss} 的目标一样按批次给出：每个样本一个数，而这里应为每个类别一个数",
    "weight has shape {shape}, expected ({classes},) for {loss}: one number for each of the {count} classes": (
        "weight 的形状为 {shape}，{loss} 需要 ({classes},)：{count} 个类别各一个数"
    ),
    "{name} has shape {shape} and the input of {loss} at {place} {other}: expected one number for each class": (
        "{name} 的形状为 {shape}，{loss}（{place}）的输入形状为 {other}：应为每个类别一个数"
    ),
    "weight has one number for each class, but changes with each batch of {rows} rows: weights of rows?": (
        "weight 与类别数相同，却随每个批次（{rows} 行）改变：是各行的权重吗？"
    ),
    "all labels of {title} are {label}, which is ignored: the mean is 0/0 = nan": (
        "{title} 的所有标签都是 {label}，而它被忽略：平均值是 0/0 = nan"
    ),
    "the target of {title} is {what}, whose rows do not sum to 1: apply softmax to logits, or divide each row by its sum": (
        "{title} 的目标是 {what}，各行之和不是 1：对 logits 做 softmax，或把每行除以其和"
    ),
    "logits": "logits",
    "random numbers of both signs": "有正有负的随机数",
    "sigmoid scores": "sigmoid 的结果",
    "random numbers": "随机数",
    "log-probabilities": "对数概率",
    "scores": "分数",
    "outputs of a ReLU": "ReLU 的输出",
    "counts": "计数",
    "a mixture whose weights do not sum to 1": "权重之和不是 1 的混合",
    "the target of {title} goes up to {high}: class indices, where 0 … 1 is expected": (
        "{title} 的目标最大为 {high}：这是类别编号，而应为 0 … 1"
    ),
    "label_smoothing is {value}, expected a number in [0, 1]: {done}": (
        "label_smoothing 是 {value}，应为 [0, 1] 内的数：{done}"
    ),
    "torch ignores it in silence": "torch 会悄悄忽略它",
    "torch refuses it": "torch 会报错",
    "size_average and reduce given: use reduction=": "传入了 size_average 与 reduce：请改用 reduction=",
    "{names} given: use reduction=": "传入了 {names}：请改用 reduction=",
    "size_average or reduce is used: use reduction=": "用到了 size_average 或 reduce：请改用 reduction=",
    "AutoregressiveWrapper is told what padding is, but its loss ignores −100 unless ignore_index says otherwise: where "
    "sequences are padded with pad_value, the loss counts the padding": (
        "AutoregressiveWrapper 知道填充的值，但除非另设 ignore_index，它的损失只忽略 −100：序列用 pad_value 填充时，"
        "填充被计入损失"
    ),
}
"""Targets, axes and settings."""

COMPOSED: dict[str, str] = {
    "the focal factor is computed from a loss that was already reduced to its {reduction}: one number weighs the whole "
    "batch — reduction='none'": (
        "focal 因子是由已经汇总为 {reduction} 的损失算出的：整个批次只有一个因子——reduction='none'"
    ),
    "{reduction} over {rows} rows": "{reduction}（{rows} 行）",
    "this factor has a number for each row, and the loss was already reduced to its {reduction}: all rows are weighed "
    "alike — reduction='none'": (
        "这个因子每行一个数，而损失早已汇总为 {reduction}：所有行的权重相同——reduction='none'"
    ),
    "{reduction} (at {places})": "{reduction}（{places}）",
    "this mean divides the terms of kl_div{terms} by the number of classes too: the divergence is {many}× too small — "
    ".sum({axis}) first, then the mean over the rows": (
        "这里的平均把 kl_div{terms} 的各项也除以了类别数：散度小了 {many} 倍——先 .sum({axis})，再对各行取平均"
    ),
    "means {why} are averaged with equal weight": "几个平均值被等权地平均，{why}",
    "over numbers of rows that are drawn at random": "而它们的行数是随机抽取的",
    "over the labels that are not ignored, whose number varies,": "而它们各自未被忽略的标签数并不相同",
    "the logarithm of a softmax, in two steps, {where}: −inf, and nan in the gradient, where a probability underflows, "
    "or, with a small number added, a loss that stops growing there; log_softmax is the same without that": (
        "softmax 的对数是分两步求的，{where}：概率下溢时得到 −inf，梯度中出现 nan；若加了一个小数，损失在那里就不再增大；"
        "log_softmax 与它相同，却没有这个问题"
    ),
    "this view feeds {by}, and the classes of what it is given are on another axis than it makes of them: rows and "
    "classes are mixed — permute the class axis to the end first": (
        "这个 view 的结果传给了 {by}，而它把另一个轴当成了类别轴：行与类别被混在一起——先用 permute 把类别轴移到最后"
    ),
    "a mask sets the loss{places} to zero at padding, and this mean counts those positions all the same: the more "
    "padding, the smaller the loss — (loss * mask).sum() / mask.sum()": (
        "掩码把填充处的损失{places}置为零，而这里的平均仍把这些位置计算在内：填充越多，损失越小"
        "——(loss * mask).sum() / mask.sum()"
    ),
    "the loss{places} is one number already, its mean, when it is multiplied by this mask: padding counts in it — "
    "reduction='none', then (loss * mask).sum() / mask.sum()": (
        "损失{places}乘以这个掩码时已经是一个平均值：填充被计算在内"
        "——先用 reduction='none'，再 (loss * mask).sum() / mask.sum()"
    ),
    "this term of the loss{loss} loses its graph here: it changes the value of the loss, and trains nothing": (
        "损失{loss}的这一项在这里失去了计算图：它改变损失的值，却不起训练作用"
    ),
    " that is given back": "（返回值）",
    "losses of earlier steps{losses} are kept here with their graph: memory grows each step": (
        "前几步的损失{losses}连同计算图一起保留在这里：内存逐步增长"
    ),
    ", of {count} steps,": "（共 {count} 步）",
    ", {count} of them,": "（共 {count} 个）",
    "a new tensor is made of losses: it has their values and not their graph, so that no weight is trained": (
        "用损失新建了一个张量：它有损失的值而没有计算图，任何权重都得不到训练"
    ),
    "backward() of a tensor{place} without a graph: nothing gets a gradient but itself": (
        "对没有计算图的张量{place}调用了 backward()：除它自己以外，没有谁得到梯度"
    ),
    "a criterion was made with tensors and not called: {text}": "损失对象在创建时就收到了张量，却没有被调用：{text}",
    "backward() of what is no tensor any more: {text}": "对已经不是张量的东西调用了 backward()：{text}",
    "backward() of a loss without a graph: nothing can be trained by it": (
        "对没有计算图的损失调用了 backward()：用它训练不了任何东西"
    ),
    "the criterion has become a Tensor: {line}": "损失对象变成了一个 Tensor：{line}",
    "the criterion has become a number: {line}": "损失对象变成了一个数：{line}",
    "tensors are given to the constructor of a loss, which takes its settings: {line}": (
        "张量被传给了损失的构造函数，而它只接受设置：{line}"
    ),
    "training_step gives back a loss whose graph is cut here: no weight gets a gradient": (
        "training_step 返回的损失在这里失去了计算图：任何权重都得不到梯度"
    ),
    "the labels have shape {shape} and the rows {rows}: the label of every row is taken from every row — {fix}": (
        "标签的形状为 {shape}，各行的形状为 {rows}：会从每一行取所有行的标签——{fix}"
    ),
    "what is called here is not the criterion any more but the loss of {place}: give the value another name": (
        "这里调用的已经不是损失对象，而是 {place} 处的损失值：请给损失值换一个名字"
    ),
    "what is called here is not the criterion any more but a loss, whose backward() was called at {place}: give the "
    "value another name": (
        "这里调用的已经不是损失对象，而是一个损失值（它在 {place} 处调用了 backward()）：请给损失值换一个名字"
    ),
    "the prediction and the target are given to the constructor of {loss}: {call}()(input, target)": (
        "预测与目标被传给了 {loss} 的构造函数：应为 {call}()(input, target)"
    ),
    "backward() is called on a loss whose graph was cut at {place}: no weight gets a gradient": (
        "对损失调用了 backward()，而它的计算图在 {place} 处断开：任何权重都得不到梯度"
    ),
}
"""Sums, means and weights of losses; graphs."""

PASSED: dict[str, str] = {
    "{path}: examined in part: {reason}": "{path}：只检查了一部分：{reason}",
    "{path}: passed over: {reason}": "{path}：已跳过：{reason}",
    "it has too many functions to follow them all": "其中的函数太多，无法全部跟踪",
    "{name} in line {line}": "{name}（第 {line} 行）",
    "cannot be read: {reason}": "无法读取：{reason}",
    "no such file, or a link that leads nowhere": "文件不存在，或是失效的链接",
    "not a file": "不是文件",
    "larger than {size} MB": "大于 {size} MB",
    "not valid Python: {reason}, line {line}": "不是有效的 Python：{reason}（第 {line} 行）",
    "not valid Python: {reason}": "不是有效的 Python：{reason}",
    "not Python by its name; crossentropy explain reads tables": "从名字看不是 Python 文件；表格请用 crossentropy explain 读取",
    "nested too deeply": "嵌套太深",
    "not in the encoding that it declares, or UTF-8": "不符合它声明的编码，也不是 UTF-8",
    "not a notebook: no JSON with cells": "不是 notebook：其中没有带 cells 的 JSON",
    "line {line} is nested too deeply to follow": "第 {line} 行嵌套太深，无法跟踪",
    "it takes too {limit} to follow": "跟踪它需要{limit}",
    "{what} takes too {limit} to follow": "跟踪 {what} 需要{limit}",
    "many steps": "太多步",
    "long": "太长时间",
    "it is nested too deeply to follow": "嵌套太深，无法跟踪",
    "{what} is nested too deeply to follow": "{what} 嵌套太深，无法跟踪",
    "it takes too much memory to follow": "跟踪它需要太多内存",
    "{what} takes too much memory to follow": "跟踪 {what} 需要太多内存",
    "crossentropy doctor fails here, please report it: {error}": "crossentropy doctor 在这里出错，请报告：{error}",
    "Permission denied": "没有权限",
}
"""Files that were passed over, and why."""

PHRASES: dict[str, str] = {**PLACES, **NUMBERS, **INPUTS, **TARGETS, **COMPOSED, **PASSED}
