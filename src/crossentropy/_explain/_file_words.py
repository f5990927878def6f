"""What is said about files, in each language; messages begin with the file."""

FILES = {
    "file.stdin": ("standard input", "标准输入"),
    "file.nameless": ("the nameless array", "未命名的数组"),
    "file.missing": ("{file}: there is no such file", "{file}：文件不存在"),
    "file.directory": (
        "{file}: a directory, expected a file, or a dataset that save_to_disk wrote",
        "{file}：这是目录，应为文件，或者 save_to_disk 写出的数据集",
    ),
    "file.splits": (
        "{file}: a dataset with several parts: give one of its directories, {names}",
        "{file}：该数据集有多个部分，请给出其中一个目录：{names}",
    ),
    "file.special": (
        "{file}: a named pipe, socket or device, expected a file",
        "{file}：这是命名管道、套接字或设备，应为文件",
    ),
    "file.permission": ("{file}: no permission to read it", "{file}：没有读取权限"),
    "file.unreadable": ("{file}: cannot be read: {reason}", "{file}：无法读取：{reason}"),
    "file.suffix": ("{file}: unknown suffix, expected one of {known}", "{file}：无法识别的扩展名，支持的有 {known}"),
    "file.stream": (
        "{file}: unknown format, expected CSV or JSON in UTF-8, .npy or .npz",
        "{file}：无法识别的格式，应为 UTF-8 编码的 CSV 或 JSON，或者 .npy、.npz",
    ),
    "file.empty": ("{file}: empty, there are no numbers in it", "{file}：内容为空，其中没有数字"),
    "file.encoding": ("{file}: line {line} is not UTF-8 text", "{file}：第 {line} 行不是 UTF-8 文本"),
    "file.package": (
        "{file}: reading it needs {package}: {command}",
        "{file}：读取该文件需要 {package}：{command}",
    ),
    "file.memory": (
        "{file}: corrupt, or larger than this machine's free memory",
        "{file}：文件已损坏，或者超出本机可用内存",
    ),
    "file.corrupt": ("{file}: corrupt, or no {kind} file", "{file}：文件已损坏，或者不是 {kind} 文件"),
    "file.objects": (
        "{file}: corrupt, no {kind} file, or with Python objects, which are not loaded because they can run code",
        "{file}：文件已损坏、不是 {kind} 文件，或者含有 Python 对象（可能执行代码，因此不予加载）",
    ),
    "file.tensors": ("{file}: expected a tensor, or a dict with tensors", "{file}：应为张量，或者含有张量的字典"),
    "file.dtype": (
        "{file}: {name} is of {dtype}, expected a dense array of real numbers",
        "{file}：{name} 的类型是 {dtype}，应为实数的稠密数组",
    ),
    "file.duplicate": ("{file}: the name {name} is there twice", "{file}：名称 {name} 出现了两次"),
    "file.json": (
        "{file}: line {line}, column {column}: not JSON",
        "{file}：第 {line} 行第 {column} 列：不是有效的 JSON",
    ),
    "file.json_deep": ("{file}: nested too deeply", "{file}：嵌套过深"),
    "file.json_number": ("{file}: {where} is {cell}, expected a number", "{file}：{where} 是 {cell}，应为数字"),
    "file.json_list": (
        "{file}: {where} is {cell}, expected a list of length {expected}",
        "{file}：{where} 是 {cell}，应为长度是 {expected} 的列表",
    ),
    "file.json_ragged": (
        "{file}: {where} has length {count}, expected {expected} like the first",
        "{file}：{where} 的长度是 {count}，应与第一个相同，为 {expected}",
    ),
    "file.json_huge": (
        "{file}: {where} is {cell}, more than a number of 64 bits holds",
        "{file}：{where} 是 {cell}，超出 64 位数的范围",
    ),
    "file.csv": ("{file}: line {line}: not CSV: {reason}", "{file}：第 {line} 行：不是有效的 CSV：{reason}"),
    "file.csv_names": (
        "{file}: names without numbers below them: {names}",
        "{file}：只有名称，下面没有数字：{names}",
    ),
    "file.csv_number": (
        "{file}: line {line}, column {column}: {cell} is no number",
        "{file}：第 {line} 行第 {column} 列：{cell} 不是数字",
    ),
    "file.csv_hole": (
        "{file}: line {line}, column {column}: empty, expected a number",
        "{file}：第 {line} 行第 {column} 列：为空，应为数字",
    ),
    "file.csv_huge": (
        "{file}: line {line}, column {column}: {cell} is more than a number of 64 bits holds",
        "{file}：第 {line} 行第 {column} 列：{cell} 超出 64 位数的范围",
    ),
    "file.csv_decimal": (
        "{file}: line {line}, column {column}: {cell} is no number; fractions follow a point, thousands nothing",
        "{file}：第 {line} 行第 {column} 列：{cell} 不是数字；小数点请用“.”，且不用千位分隔符",
    ),
    "file.csv_separator": (
        "{file}: line {line}, column {column}: {cell} is no number; commas, semicolons or tabs stand between numbers",
        "{file}：第 {line} 行第 {column} 列：{cell} 不是数字；数字之间请用逗号、分号或制表符",
    ),
    "file.csv_ragged": (
        "{file}: line {line}: number of cells {count}, expected {expected} as in line {first}",
        "{file}：第 {line} 行有 {count} 个单元格，应与第 {first} 行相同，为 {expected} 个",
    ),
    "file.role": (
        "{file}: which array is {role}? It has {names}, accepted names are {accepted}",
        "{file}：哪个数组是 {role}？文件中有 {names}；可用的名称有 {accepted}",
    ),
    "file.column": (
        "{file}: which column is {role}? It has {names}; accepted names are {accepted}, or say it with --from",
        "{file}：哪一列是 {role}？文件中有 {names}；可用的列名有 {accepted}，也可用 --from 指定",
    ),
    "file.column_known": (
        "{file}: is {names} a class, though the targets are in another file? Say with --from logits=… which columns "
        "are logits",
        "{file}：目标在另一个文件里，{names} 是类别吗？请用 --from logits=… 指定哪些列是 logits",
    ),
    "file.column_counts": (
        "{file}: {name} counts the rows, and is no class? Say with --from logits=… which columns are logits, "
        "as {names}",
        "{file}：{name} 像是行号，而不是类别；请用 --from logits=… 指定哪些列是 logits，例如 {names}",
    ),
    "file.column_shape": (
        "{file}: column {name} has shape ({shape}), expected one number a row, as many as in the others",
        "{file}：列 {name} 的形状是（{shape}），应当每行一个数，且行数与其他列相同",
    ),
    "file.column_twice": ("{file}: --from asks for {name} twice", "{file}：--from 中 {name} 出现了两次"),
    "file.no_column": (
        "{file}: --from: there is no {name}; it has {names}",
        "{file}：--from：没有 {name}；文件中有 {names}",
    ),
    "file.label_names": (
        "{file}: {name} holds words as {cell}, and the classes have no names: give them with --class-names",
        "{file}：{name} 里是 {cell} 这样的文字，而类别没有名称：请用 --class-names 给出",
    ),
    "file.label_unknown": (
        "{file}: {name}[{row}] is {cell}, expected the name of a class: {known}",
        "{file}：{name}[{row}] 是 {cell}，应为类别名称之一：{known}",
    ),
    "file.null": ("{file}: {name}[{row}] is empty, expected a number", "{file}：{name}[{row}] 为空，应为数字"),
    "file.ragged": (
        "{file}: the lists of {name} are of different lengths, as {first} and {other}",
        "{file}：{name} 中的列表长度不一，例如 {first} 和 {other}",
    ),
    "file.text": (
        "{file}: {name} holds words as {cell}, expected numbers",
        "{file}：{name} 里是 {cell} 这样的文字，应为数字",
    ),
    "file.json_row": (
        "{file}: row {row} has other entries than row {first}: expected {names}",
        "{file}：第 {row} 行的条目与第 {first} 行不同：应为 {names}",
    ),
    "file.taken": ("{file}: {what}", "{file}：读取了 {what}"),
    "file.left_out": ("left out: {names}", "未用：{names}"),
    "file.ambiguous": (
        "{file}: which array is {role}? Each of {names} could be",
        "{file}：哪个数组是 {role}？{names} 都有可能",
    ),
}
