"""What convert says of its changes and of what it leaves, and what both commands say besides, in Chinese."""

CHANGES: dict[str, str] = {
    "same value: nll_loss of log_softmax is cross_entropy of the logits": (
        "值不变：log_softmax 之后的 nll_loss 就是 logits 的 cross_entropy"
    ),
    "same value: cross_entropy of log-probabilities is that of the logits": (
        "值不变：对数概率的 cross_entropy 就是 logits 的 cross_entropy"
    ),
    "the loss changes: softmax is no longer applied twice": "损失会变：不再做两次 softmax",
    "the loss changes: cross_entropy of the logits, without a sigmoid before its softmax": (
        "损失会变：改为 logits 的 cross_entropy，其 softmax 之前不再有 sigmoid"
    ),
    "the loss changes: cross entropy of the logits instead of minus a probability": (
        "损失会变：由概率的相反数改为 logits 的交叉熵"
    ),
    "the loss changes: cross entropy of the logits instead of the squared error of probabilities": (
        "损失会变：由概率的平方误差改为 logits 的交叉熵"
    ),
    "the loss changes: cross entropy of the logits instead of a binary cross entropy of each class": (
        "损失会变：由每一类的二元交叉熵改为 logits 的交叉熵"
    ),
    "the loss changes only where it was cut off: binary_cross_entropy of probabilities never exceeds 100 a term": (
        "只有原来被截断之处损失会变：概率的 binary_cross_entropy 每项不超过 100"
    ),
    "the loss changes: sigmoid is no longer applied twice": "损失会变：不再做两次 sigmoid",
    "the loss changes: the divergence of a row, averaged over rows, where the mean was over all entries: as many times "
    "larger as there are classes, for two axes": (
        "损失会变：每行的散度再对各行取平均，而原来是对所有元素取平均：有两个轴时，增大的倍数就是类别数"
    ),
    "the loss changes: each row has its own focal factor, and the mean is taken of the products": (
        "损失会变：每行有自己的 focal 因子，再对乘积取平均"
    ),
    "{change}; the trainer itself applies what this loss wants to what it predicts": (
        "{change}；预测时需要的激活由 trainer 自己完成"
    ),
    "same value: linear_cross_entropy takes the head's input and weight, and never builds the logits": (
        "值不变：linear_cross_entropy 直接使用输出层的输入与权重，不再生成 logits"
    ),
    "same value: log_softmax is the logarithm of softmax, and does not underflow": (
        "值不变：log_softmax 就是 softmax 的对数，而且不会下溢"
    ),
    "the value changes where probabilities are near epsilon: log_softmax needs none": (
        "概率接近 epsilon 之处值会变：log_softmax 不需要 epsilon"
    ),
    "same value: the class indices that the one-hot rows were made of": "值不变：改用生成独热行的类别编号",
    "the loss changes: cross_entropy takes no integer rows, but the class indices that they were made of": (
        "损失会变：cross_entropy 不接受整数行，改用生成它们的类别编号"
    ),
    "the loss changes: there is one where cross_entropy raised an error, for targets with an axis too many": (
        "损失会变：目标多一个轴时 cross_entropy 原来会报错，现在能算出损失"
    ),
    "same value: the loss of crossentropy in place of torch's": "值不变：用 crossentropy 的损失代替 torch 的",
    "same value: reduction={reduction} is what {old} and {other} said": (
        "值不变：reduction={reduction} 就是 {old} 与 {other} 的意思"
    ),
    "same value: reduction={reduction} is what {old} said": "值不变：reduction={reduction} 就是 {old} 的意思",
    "{change}; with three axes, the classes may be another axis than now": (
        "{change}；若有三个轴，类别轴可能与现在不同"
    ),
    "{change}; with more than two axes, the classes may be another axis than now": (
        "{change}；若多于两个轴，类别轴可能与现在不同"
    ),
    "{change}; with more than one axis, the classes may be another axis than now": (
        "{change}；若多于一个轴，类别轴可能与现在不同"
    ),
    "{change}; the activation is {back}; what is written at {saved} now gives logits": (
        "{change}；激活{back}；{saved}写出的模型现在输出 logits"
    ),
    "{change}; the activation is {back}": "{change}；激活{back}",
    "{change}; what is written at {saved} now gives logits": "{change}；{saved}写出的模型现在输出 logits",
    "the activation is {done}, for the loss at {place}": "激活{done}，缘于 {place} 处的损失",
    "taken away and {back}": "被去掉，并{back}",
    "taken away": "被去掉",
    "put back where its result is used ({places})": "移到使用其结果之处（{places}）",
    "{change} (the loss is that of {place})": "{change}（指 {place} 处的损失）",
    "{rule} of line {line}, as above": "第 {line} 行的 {rule}，同上",
    "line {line}, {more}": "第 {line} 行，{more}",
    "line {line}": "第 {line} 行",
}
"""What a change does to the loss."""

REASONS: dict[str, str] = {
    "--unsafe would rewrite this: {change}": "加上 --unsafe 会改写它：{change}",
    "{reason} (line {line})": "{reason}（第 {line} 行）",
    "no {kind} is in sight before this {loss}": "在这个 {loss} 之前看不到 {kind}",
    "no {kind} is in sight before this call of the loss": "在这次损失调用之前看不到 {kind}",
    "other uses of this {loss} cannot be seen: {how}": "看不到这个 {loss} 的其他用处：{how}",
    "this call may also be of another loss: {how}": "这次调用也可能是另一个损失：{how}",
    "this call may also be of {loss}, which takes what is put in now": (
        "这次调用也可能是 {loss}，而它需要的正是现在传入的东西"
    ),
    "this call may also be of {loss}": "这次调用也可能是 {loss}",
    "the axes of its result have been moved": "其结果的轴被移动过",
    "the axes of its result are moved": "其结果的轴被移动过",
    "the settings of this {loss} mean something else for cross entropy": "这个 {loss} 的设置对交叉熵来说含义不同",
    "the {kind} changes the dtype as well": "这个 {kind} 同时改变了 dtype",
    "the {kind} is over {where}, and the last axis becomes that of the classes": (
        "这个 {kind} 沿{where}计算，而最后一轴将成为类别轴"
    ),
    "an axis that depends on the shape": "取决于形状的轴",
    "it cannot be seen what this {kind} is applied to": "看不出这个 {kind} 作用于什么",
    "this {kind} is followed by a change of shape": "这个 {kind} 之后改变了形状",
    "{name} is used for more than the loss, so the {kind} has to stay": "{name} 不只用于损失，因此 {kind} 必须保留",
    "this model, which may be called as well, does not end in {kind}": "这里也可能调用这个模型，而它并不以 {kind} 结尾",
    "it may be the output of another model, which does not end in {kind}": (
        "它可能是另一个模型的输出，而那个模型并不以 {kind} 结尾"
    ),
    "it may be the output of another model: {how}": "它可能是另一个模型的输出：{how}",
    "{name} is used for more than the loss, and {why}": "{name} 不只用于损失，而且 {why}",
    "it cannot be seen that this target is one-hot, nor of which class indices": (
        "看不出这个目标是独热的，也看不出来自哪些类别编号"
    ),
    "the {kind} is over axis {axis}, which may not be that of the classes": (
        "这个 {kind} 沿第 {axis} 轴计算，而那可能不是类别轴"
    ),
    "self.{name} is assigned more than once": "self.{name} 被多次赋值",
    "{name} may also be something else": "{name} 也可能是别的东西",
    "{name} may also hold something else": "{name} 也可能存有别的东西",
    "{name} is put where its use cannot be seen": "{name} 被放到看不出用处的地方",
    "it is put where its use cannot be seen": "它被放到看不出用处的地方",
    "{name} is something else at times": "{name} 有时是别的东西",
    "{name} gives its output away": "{name} 把它的输出交了出去",
    "{name} gives its layers away": "{name} 把它的层交了出去",
    "{name} changes its layers": "{name} 改变了它的层",
    "{name} is given to {function}, whose use of it cannot be seen": "{name} 被传给 {function}，看不出它在那里的用处",
    "{how}: pass {path} too": "{how}：请把 {path} 也传进来",
    "it is returned to where its use cannot be seen": "它被返回到看不出用处的地方",
    "{name} is given to its decorator": "{name} 被交给了它的装饰器",
    "what {name} returns is put where its use cannot be seen": "{name} 的返回值被放到看不出用处的地方",
    "{name} may be used through {other}": "{name} 可能通过 {other} 被使用",
    "{name} may be the same object": "{name} 可能是同一个对象",
    "{name} may be called with something else": "调用 {name} 时可能传入别的东西",
    "{name} is called with something else as well": "调用 {name} 时还传入了别的东西",
    "{name} may also be another function": "{name} 也可能是另一个函数",
    "{name} may also return something else": "{name} 也可能返回别的东西",
    "the object": "该对象",
    "the rows of ignore_index would count in the mean of the products": ("ignore_index 的那些行会被计入乘积的平均"),
    "it cannot be seen where the mean of this focal loss is to be taken": "看不出这个 focal 损失应在哪里取平均",
    "{name} is used for more than this trainer": "{name} 不只用于这个 trainer",
    "it cannot be seen which head this is": "看不出这是哪个输出层",
    "the head is called under another context (with …) than the loss": "调用输出层与计算损失不在同一个上下文（with …）中",
    "{name} wraps the head": "{name} 包装了输出层",
    "{name} may change what a call of the head does, or see it": "{name} 可能改变输出层被调用时的行为，或读取它的结果",
    "{name} is given to {function}, which may change it": "{name} 被传给 {function}，而它可能被改变",
    "{name} is assigned: the head may be another module": "{name} 被赋值：输出层可能是另一个模块",
    "{name} may replace the head or divide its weight": "{name} 可能替换输出层，或切分它的权重",
    "setattr may put another module in the head's place, or another forward": (
        "setattr 可能把输出层换成另一个模块，或换掉它的 forward"
    ),
    "{name} cannot be written here: the name {package} is used for something else": (
        "这里写不了 {name}：名字 {package} 另有他用"
    ),
    "there is no import of torch at the top of the file, after which to import {package}": (
        "文件开头没有 import torch，不知道在哪里导入 {package}"
    ),
    "it cannot be seen that these logits are the output of one nn.Linear": "看不出这些 logits 来自同一个 nn.Linear",
    "{name} is used for more than the loss, so it has to be computed": "{name} 不只用于损失，因此仍须计算",
    "this head has no name by which to take its weight": "这个输出层没有名字，无法取得它的权重",
    "{name} may have changed since the logits were made of it": "由 {name} 算出 logits 之后，它可能已经改变",
    "{name} is not for linear_cross_entropy": "linear_cross_entropy 没有 {name}",
    "{setting} may be something else at the loss": "{setting} 在计算损失时可能是别的值",
    "{name} in this logarithm may be more than an epsilon": "这个对数中的 {name} 可能不只是一个 epsilon",
    "this softmax layer may be used for more than the logarithm": "这个 softmax 层可能不只用于这个对数",
    "it cannot be seen what this loss is given": "看不出传给这个损失的是什么",
    "{setting} is known only when the script runs": "{setting} 要到运行时才知道",
    "{name} comes from {path}, which was not given: pass it too": "{name} 来自 {path}，而它没有给出：请把它也传进来",
    "no {name} is made here": "这里没有创建 {name}",
    "other uses of the model's output cannot be seen: {how}": "看不到模型输出的其他用处：{how}",
    "{what} ends in {kind} only at times": "{what} 只是有时以 {kind} 结尾",
    "{what} ends in different activations": "{what} 以不同的激活结尾",
    "the class that is made here": "这里创建的类",
    "the model that is called": "被调用的模型",
    "the activation is applied or not by {test}, which is known only when the script runs": (
        "是否做激活由 {test} 决定，而它要到运行时才知道"
    ),
    "{name} is used for more than this result": "{name} 不只用于这个结果",
    "{name} is used for more than the result of forward": "{name} 不只用于 forward 的返回值",
    "the output of {name} is used for more than this result": "{name} 的输出不只用于这个结果",
    "a model that is saved as a whole may be loaded here": "这里可能加载整个保存的模型",
    "{name} has a decorator": "{name} 带有装饰器",
    "{name} is used as a value": "{name} 被当作值使用",
    "{name} may be used by this": "{name} 可能在这里被使用",
    "{name}= means something else for class indices than for these one-hot rows": (
        "{name}= 对类别编号与对这些独热行的含义不同"
    ),
    "it cannot be seen what all callers of {name} give it as {parameter}": (
        "看不全 {name} 的所有调用者传给 {parameter} 的是什么"
    ),
    "{name} is not always a {kind}": "{name} 并不总是 {kind} 的结果",
    "this may not be the only model that is trained: {how}": "训练的可能不只这一个模型：{how}",
    "{name} may have its value here from several assignments, or be changed in place": (
        "{name} 在这里的值可能来自几处赋值，或被就地修改"
    ),
    "{name} is not followed further back": "无法再往前追溯 {name}",
    "what {name} gives is not followed further back": "无法再往前追溯 {name} 的结果",
    "{name} is not followed through .{method}(...)": "无法穿过 .{method}(...) 追溯 {name}",
    "it cannot be seen which object or function {name} is here": "看不出 {name} 在这里是哪个对象或函数",
    "{name} may be another object here: {how}": "{name} 在这里可能是另一个对象：{how}",
    "it cannot be seen that forward of {name} ends in a {kind} on every way through it": (
        "看不出 {name} 的 forward 每条路径都以 {kind} 结尾"
    ),
    "{compiler} compiles this function, and cannot compile a loss of crossentropy": (
        "{compiler} 会编译这个函数，而它无法编译 crossentropy 的损失"
    ),
    "{compiler} cannot compile a loss of crossentropy": "{compiler} 无法编译 crossentropy 的损失",
    "the loss that is computed here is not made or called by its name in these files": (
        "这里计算的损失，在这些文件中没有按名字创建或调用"
    ),
    "this call stands in a string, whose quotes may not allow reduction= to be written": (
        "这次调用写在字符串里，其引号可能不允许写入 reduction="
    ),
    "{name} may have changed since {other} was made of it": "由 {name} 得到 {other} 之后，它可能已经改变",
    "the arguments of this call cannot be told apart": "分不清这次调用的各个参数",
    "this output is used as a whole, so that it cannot be seen what becomes of its parts": (
        "这个输出被整体使用，看不出它的各部分去了哪里"
    ),
    "it cannot be told which of these names is assigned the output": "分不清这些名字中哪一个被赋予了输出",
    "it cannot be told where this output of the model is used": "看不出模型的这个输出用在哪里",
    "this output of the model is assigned to several names at once": "模型的这个输出同时赋给了几个名字",
}
"""Why something is left as it is."""

QUESTIONS: dict[str, str] = {
    "Is what it is given a {kind}, and of what?": "传给它的是 {kind} 的结果吗？作用于什么？",
    "Is what it is given a {kind} as well, and of what?": "传给它的也是 {kind} 的结果吗？作用于什么？",
    "What makes it: a {kind}, and of what?": "它是怎么得到的：是 {kind} 的结果吗？作用于什么？",
    "What is it given there?": "那里传给它的是什么？",
    "Does that take logits?": "它需要的是 logits 吗？",
    "Is it applied where the loss is computed?": "计算损失的地方做了它吗？",
    "Are probabilities needed here?": "这里需要概率吗？",
    "Are probabilities needed there?": "那里需要概率吗？",
    "Are its rows one-hot, and of which class indices?": "它的各行是独热的吗？来自哪些类别编号？",
    "Is its output used as probabilities there?": "它的输出在那里被当作概率使用吗？",
    "What else can it be there?": "它在那里还可能是什么？",
    "Is it this that {name} compiles?": "{name} 编译的是它吗？",
    "Which loss can it be?": "可能是哪一个损失？",
    "Is it true or false?": "它是 True 还是 False？",
    "Does {name} still hold the logits at the loss?": "计算损失时，{name} 里还是那些 logits 吗？",
}
"""Whose answers would decide it. They follow what they are about, after a full stop."""

FILES: dict[str, str] = {
    "{path}: line {line}, column {column}: {reason}": "{path}：第 {line} 行第 {column} 列：{reason}",
    "expressions or blocks are nested too deeply to be read": "表达式或代码块嵌套太深，无法读取",
    "libcst cannot read this syntax": "libcst 无法读取这种语法",
    "the line ends of this file would not survive": "这个文件的换行符无法保留",
    "this is not Python ({reason})": "这不是 Python（{reason}）",
    "{path}: a {kind}, expected Python files": "{path}：这是 {kind}，应为 Python 文件",
    "notebook": "notebook",
    "folder": "文件夹",
    "{path}: what {encoding} decodes it does not encode again: use UTF-8": (
        "{path}：按 {encoding} 解码后无法再编码回去：请使用 UTF-8"
    ),
    "{path}: not Python by its name": "{path}：从名字看不是 Python 文件",
    "{path}: not in the encoding that it declares, or UTF-8": "{path}：不符合它声明的编码，也不是 UTF-8",
    "{path}: {encoding} lacks a character of what is to be written": "{path}：{encoding} 无法表示要写入的某个字符",
    "{package} is missing — {command}": "缺少 {package}——请运行 {command}",
    "there is no Python file in {paths}": "{paths} 中没有 Python 文件",
    "passed over: {error}; what it does with the other files is not seen": (
        "已跳过：{error}；看不到它对其他文件做什么"
    ),
    "{path}: other names of this file (hard links) keep the old text": "{path}：这个文件的其他名字（硬链接）仍是原来的内容",
    "nothing was written: {reason}": "什么也没有写入：{reason}",
    "{path}: control characters are shown escaped, so patch cannot apply this: use --write": (
        "{path}：控制字符以转义形式显示，patch 无法使用：请用 --write"
    ),
    "{path}: there is no such file or folder": "{path}：文件或文件夹不存在",
    "{path}: paths are read, --run runs: give one of the two": "{path}：路径是用来读的，--run 是用来运行的：请只给其中之一",
    "--run {script}: there is no such file": "--run {script}：文件不存在",
    "--run {script}: a notebook cannot be run here; leave out --run to have it read": (
        "--run {script}：这里无法运行 notebook；去掉 --run 即可读取它"
    ),
    "{script} called no loss that is known here": "{script} 没有调用这里认识的任何损失",
    "{script} was ended by {signal}, which was passed on to it": "{script} 收到了转发给它的 {signal}，因而结束",
    "{script} ended with exit code {code}": "{script} 以退出码 {code} 结束",
    "{script} was ended by signal {code}": "{script} 被信号 {code} 终止",
    "{end} before it called a loss that is known here": "{end}，此前没有调用这里认识的任何损失",
    "the process that was to run the script did not start: see above": "用来运行脚本的进程没有启动：见上文",
    "{count} more files were examined in part: --output-format json names them": (
        "另有 {count} 个文件只检查了一部分：--output-format json 会列出它们"
    ),
    "there is no Python file or notebook in {paths}": "{paths} 中没有 Python 文件或 notebook",
    "nothing was examined": "什么也没有检查",
    "--fix shows changes of files that are read, as text: no --run, no other format": (
        "--fix 以文本形式显示对所读文件的改动：不能与 --run 或其他输出格式同用"
    ),
    "{where}: there is no rule {name}; did you mean {near}?": "{where}：没有规则 {name}；是不是 {near}？",
    "{where}: there is no rule {name}; crossentropy doctor --explain all lists them": (
        "{where}：没有规则 {name}；crossentropy doctor --explain all 会列出全部规则"
    ),
    "{where} {key}: unknown; expected select, ignore, exclude or min-confidence": (
        "{where} {key}：无法识别；应为 select、ignore、exclude 或 min-confidence"
    ),
    "{where} min-confidence is {value}, expected one of {known}": "{where} min-confidence 是 {value}，应为 {known} 之一",
    "{where} is {value}, expected a list of strings": "{where} 是 {value}，应为字符串列表",
    "{file}: not UTF-8, which TOML is in": "{file}：不是 UTF-8，而 TOML 必须是 UTF-8",
    "{file}: nested too deeply": "{file}：嵌套太深",
    "{file}: {key} is {value}, expected a table": "{file}：{key} 是 {value}，应为表",
    "{path}: No such file or directory": "{path}：文件或目录不存在",
    "{path}: Permission denied": "{path}：没有权限",
    "No such file or directory": "文件或目录不存在",
}
"""Files, settings, and how a script ended."""

LINES: dict[str, str] = {
    "examining files": "检查文件",
    "reading files": "读取文件",
    "finding what to change": "寻找可改之处",
    "checking what remains": "检查改后的文件",
    "still to be mended: {finding}; not rewritten: {reason}": "仍需修改：{finding}；没有改写：{reason}",
    "still to be mended: {finding}": "仍需修改：{finding}",
    "not rewritten: {place}: {rule}: {reason}": "没有改写：{place}：{rule}：{reason}",
    "not rewritten: {reason}": "没有改写：{reason}",
    "{place}: {rule} (certain) {message}": "{place}：{rule}（确定）{message}",
    "{place}: {rule} (likely) {message}": "{place}：{rule}（很可能）{message}",
    "{reason}. {question}": "{reason}。{question}",
    "{command} makes these changes": "运行 {command} 会做这些改动",
    "nothing of this can be mended by convert": "convert 无法修改其中任何一处",
    "there is nothing to mend": "没有需要修改之处",
    "0 changes, nothing to do": "0 处改动，无事可做",
    "{count} changes: written": "共 {count} 处改动：已写入",
    "{count} change: written": "共 {count} 处改动：已写入",
    "{count} changes: --write makes them": "共 {count} 处改动：加上 --write 才会写入",
    "{count} change: --write makes them": "共 {count} 处改动：加上 --write 才会写入",
}
"""Whole lines of both commands."""

PHRASES: dict[str, str] = {**CHANGES, **REASONS, **QUESTIONS, **FILES, **LINES}
