"""What parsers and the overview of the command line say, in Chinese: phrases of a `PhraseBook`, by their English."""

ARGUMENTS: dict[str, str] = {
    "usage: ": "用法：",
    "options": "选项",
    "positional arguments": "参数",
    "unrecognized arguments: {what}": "无法识别的参数：{what}",
    "argument {name}: invalid choice: {what} (choose from {known})": "参数 {name}：无效的取值 {what}（可选 {known}）",
    "argument {name}: expected one argument": "参数 {name}：缺少取值",
    "argument {name}: expected at least one argument": "参数 {name}：缺少取值",
    "argument {name}: not allowed with argument {other}": "参数 {name} 不能与 {other} 同时使用",
    "argument {name}: ignored explicit argument {what}": "参数 {name} 不接受取值 {what}",
    "argument {name}: {what}": "参数 {name}：{what}",
    "the following arguments are required: {names}": "缺少参数：{names}",
    "ambiguous option: {name} could match {others}": "选项 {name} 有歧义，可能是 {others}",
    "(try {command} --help)": "（可运行 {command} --help 查看用法）",
    "(the arguments of a script that --run runs follow --)": "（--run 所运行脚本的参数写在 -- 之后）",
    "(did you mean {option}? see {command} --help)": "（是不是 {option}？可运行 {command} --help 查看用法）",
    "{text} is no whole number in {range}": "{text} 不是 {range} 中的整数",
    "{text} is no whole number ≥ 1": "{text} 不是不小于 1 的整数",
    "interrupted": "已中断",
    "show this text": "显示本说明",
    "do not say what is being done": "不显示进度",
    "language (default: that of the locale)": "语言（默认取自系统设置）",
}
"""argparse's own words, and options that all commands have."""

OVERVIEW: dict[str, str] = {
    "usage: crossentropy COMMAND [options]": "用法：crossentropy 命令 [选项]",
    "The cross-entropy library for PyTorch.": "PyTorch 的交叉熵库。",
    "understand": "理解",
    "mend a program": "改正程序",
    "measure": "测量",
    "set up": "设置",
    "examples": "例子",
    "every step of a loss, with its numbers": "展示损失的每一步及其数值",
    "from −log p to a trained language model, on real data": "用真实数据，从 −log p 直到训练好一个语言模型",
    "what is wrong with the losses of a program": "检查程序中的损失有什么问题",
    "change a training script's loss to cross entropy": "把训练脚本的损失改成交叉熵",
    "what a loss of some shape would need, without running it": "某种形状的损失需要多少内存与时间，不必运行",
    "time, memory and error of a loss on this machine": "在本机上测量损失的时间、内存与误差",
    "complete commands by Tab, in bash, zsh and fish": "在 bash、zsh、fish 中用 Tab 补全命令",
    "each number from logits to loss": "从 logits 到损失的每一个数",
    "read all files and notebooks here": "检查当前目录的所有文件与 notebook",
    "run a script and watch its losses": "运行脚本并观察其中的损失",
    "show what would change; --write changes it": "显示会改动什么；加上 --write 才写入",
    "memory and time of a language model's head": "语言模型输出层的内存与时间",
    "crossentropy COMMAND --help describes a command; --version prints the version.": (
        "crossentropy 命令 --help 查看某个命令的用法；--version 显示版本。"
    ),
    "exit codes: 0 done · 1 a check failed, or something was found · 2 wrong arguments or unusable files · "
    "130 interrupted · 141 nobody reads what is printed": (
        "退出码：0 完成 · 1 检查未通过，或发现了问题 · 2 参数有误或文件无法使用 · 130 被中断 · 141 输出无人读取"
    ),
    "there is no command {name}; did you mean {near}? (see crossentropy --help)": (
        "没有命令 {name}；是不是 {near}？（可运行 crossentropy --help）"
    ),
    "there is no command {name}; crossentropy --help lists the commands": (
        "没有命令 {name}；crossentropy --help 会列出所有命令"
    ),
    "there is no option {name}; did you mean {near}? (see crossentropy --help)": (
        "没有选项 {name}；是不是 {near}？（可运行 crossentropy --help）"
    ),
    "there is no option {name}; crossentropy --help lists the commands": (
        "没有选项 {name}；crossentropy --help 会列出所有命令"
    ),
}

EXPLAIN: dict[str, str] = {
    "Exit codes: 0 done · 2 wrong arguments, or files that cannot be used.": (
        "退出码：0 完成 · 2 参数有误，或文件无法使用。"
    ),
}

DEMO: dict[str, str] = {
    "Compute the chain from information to the loss, train with three losses on scans of digits and train a language model; "
    "then write a report with figures.": (
        "计算从信息量到损失的整条链，用三种损失在手写数字上训练，再训练一个语言模型；最后写出带图的报告。"
    ),
    "Exit codes: 0 done · 1 a number differs from torch's · 2 wrong arguments, or files that cannot be used.": (
        "退出码：0 完成 · 1 有数值与 torch 不同 · 2 参数有误，或文件无法使用。"
    ),
    "train for seconds instead of a minute": "只训练几秒，而不是一分钟",
    "seed of all random numbers (default: 0)": "所有随机数的种子（默认 0）",
    "where to write demo-report.html and demo-chain.html (default: here)": "demo-report.html 与 demo-chain.html 写到哪个目录（默认当前目录）",
    "text of the language model (default: Python's library)": "训练语言模型的文本（默认是 Python 标准库）",
}

DOCTOR: dict[str, str] = {
    "Read Python files and notebooks, or run a script and watch its losses; report the mistakes around cross entropy, with "
    "what they cost and how to mend them.": (
        "读取 Python 文件与 notebook，或运行脚本并观察其中的损失；报告与交叉熵有关的错误、后果以及改法。"
    ),
    "Exit codes: 0 nothing found · 1 something found, or the script failed · 2 nothing could be examined, as where no file is "
    "readable or the script fails before its first loss · 128 + n ended by signal n. Files that are given up do not change "
    "it.": (
        "退出码：0 没有发现问题 · 1 发现了问题，或脚本失败 · 2 什么也没能检查，例如没有可读的文件，"
        "或脚本在第一次计算损失之前就失败 · 128 + n 被信号 n 终止。被放弃的文件不影响退出码。"
    ),
    "files, folders and notebooks to examine (default: .)": "要检查的文件、文件夹与 notebook（默认是 .）",
    "run a script and watch its losses; its arguments follow --": "运行脚本并观察其中的损失；脚本的参数写在 -- 之后",
    "with --run: optimizer steps to watch (default: 3)": "与 --run 同用：观察多少个优化步（默认 3）",
    "form of the report (default: text)": "报告的格式（默认 text）",
    "report only these rules": "只报告这些规则",
    "do not report these rules": "不报告这些规则",
    "the least confidence that makes the exit code 1 (default: likely)": "达到哪一级把握时退出码为 1（默认 likely）",
    "also show the changes by which convert would mend it": "同时显示 convert 会做的改动",
    "describe a rule, or all of them, and exit": "说明某条规则或全部规则（all），然后退出",
    "processes that read files (default: by their number)": "读取文件的进程数（默认取决于文件数）",
}

CONVERT: dict[str, str] = {
    "Rewrite losses as cross entropy. What is done by default keeps the value of the loss; each change says what it does to "
    "it, and what would be a guess is left as it is, with the reason.": (
        "把损失改写成交叉熵。默认只做不改变损失值的改动；每处改动都说明它对损失的影响，需要猜测的地方保持原样并说明原因。"
    ),
    "Exit codes: 0 done, or nothing to do · 1 with --check, something would change · 2 nothing was read.": (
        "退出码：0 完成，或无事可做 · 1 使用 --check 且有内容会改动 · 2 什么也没有读取。"
    ),
    "the script, and the modules of its own that it imports; or folders of them": (
        "脚本以及它导入的自己的模块；或包含它们的文件夹"
    ),
    "show what would change; exit with 1 if anything would": "显示会改动什么；若有改动，退出码为 1",
    "show what would change, and write nothing (default)": "显示会改动什么，但不写入（默认）",
    "change the files": "改动文件",
    "also make changes that alter the value of the loss": "也做会改变损失值的改动",
    "also compute the loss of a linear head without its logits": "也改为不生成 logits，直接由输出层计算损失",
    "keep torch's losses, do not import crossentropy's": "保留 torch 的损失，不导入 crossentropy 的",
}

MEASURING: dict[str, str] = {
    "Print how a loss would be computed, its memory beside that of torch's own functions, and the time to expect, from "
    "measured rates of this machine or those of a card that need not be here.": (
        "显示一个损失会怎样计算、需要多少内存（与 torch 自己的函数相比），以及大约要多久；速率取自本机的实测，"
        "或者某种显卡的标称值，这种卡不必在本机上。"
    ),
    "Exit codes: 0 done · 2 wrong arguments, or no such device.": "退出码：0 完成 · 2 参数有误，或没有这种设备。",
    "Measure forward and backward of one shape: ours, torch's eager and compiled functions and, for a head, torch's chunked "
    "one; on CUDA also peers that are installed.": (
        "测量一种形状的前向与反向：本库的、torch 直接执行的和编译的函数，有输出层时还有 torch 的分块函数；"
        "在 CUDA 上也测量装有的同类库。"
    ),
    "Exit codes: 0 done · 2 wrong arguments, no such device, or too little memory.": (
        "退出码：0 完成 · 2 参数有误、没有这种设备，或内存不足。"
    ),
    "N,C or N,C,d1,d2 of logits; N,D,V of hidden states and a head": (
        "logits 的形状 N,C 或 N,C,d1,d2；或者隐藏状态与输出层的 N,D,V"
    ),
    "dtype of the logits, or of hidden states and head (default: float32)": (
        "logits 的类型，或者隐藏状态与输出层的类型（默认 float32）"
    ),
    "forward alone, without gradients": "只做前向，不算梯度",
    "this machine's CPU or GPU, or a card that need not be here (default: cpu)": (
        "本机的 CPU 或 GPU，或者不必在本机上的显卡（默认 cpu）"
    ),
    "workspace, as 64MB or 2GB (default: by device)": "工作空间，例如 64MB 或 2GB（默认取决于设备）",
    "print JSON: bytes, FLOPs and seconds": "输出 JSON：字节、浮点运算次数与秒",
    "where to run it (default: cpu)": "在哪里运行（默认 cpu）",
    "rounds (default: 15)": "轮数（默认 15）",
    "leave out torch.compile": "不测 torch.compile",
    "also store the results": "同时保存结果",
    "{text} is no size, expected a number with its unit, as in 64MB or 2GiB": (
        "{text} 不是大小，应为带单位的数，例如 64MB 或 2GiB"
    ),
    "{text} is no shape, expected positive numbers as in 4096,32000": "{text} 不是形状，应为正数，例如 4096,32000",
    "{text} is larger than any memory": "{text} 比任何内存都大",
}

COMPLETION: dict[str, str] = {
    "Print a script by which a shell completes the commands, their options and values.": (
        "输出一个脚本，shell 用它补全命令、选项和取值。"
    ),
    "bash:  {bash}\nzsh:   {zsh} > a folder of $fpath/{name}\nfish:  {fish}\nOr for one session: {once}\n\n"
    "Exit codes: 0 done · 2 wrong arguments.": (
        "bash:  {bash}\nzsh:   {zsh} > $fpath 中的某个目录/{name}\nfish:  {fish}\n只在本次会话中使用：{once}\n\n"
        "退出码：0 完成 · 2 参数有误。"
    ),
    "bash, zsh or fish": "bash、zsh 或 fish",
}

PHRASES: dict[str, str] = {
    **ARGUMENTS, **OVERVIEW, **EXPLAIN, **DEMO, **DOCTOR, **CONVERT, **MEASURING, **COMPLETION
}  # fmt: skip
