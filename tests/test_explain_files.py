"""Every format gives its numbers back, and every file that does not gets one line that names file, place and remedy."""

import csv
import io
import json
import math
import os
import pickle
import re
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import feather
from safetensors.torch import save_file
from torch import Tensor

from crossentropy._explain import _arguments, _files
from crossentropy._explain._arrays import Arrays, UnusableFileError, Words
from crossentropy._explain._columns import NAMES, columns, labels, numbers, pick
from crossentropy._explain._files import load
from crossentropy._usage import installation

LOGITS = torch.tensor([[1.5, -2.0, 0.25], [0.0, 3.0, -1.0]])
LABELS = torch.tensor([2, 0])


def equal(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def failure(source: object, stdin: bytes | None = None) -> tuple[str, str]:
    """The message in both languages."""
    with pytest.raises(UnusableFileError) as caught:
        load(str(source), stdin=None if stdin is None else io.BytesIO(stdin))
    return caught.value.message("en"), caught.value.message("zh")


def npy(array: np.ndarray, **settings) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **settings)
    return stream.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def torch_bytes(value: object, **settings) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **settings)
    return stream.getvalue()


def save(path: Path, arrays: dict[str, Tensor]) -> None:
    if path.suffix == ".npz":
        path.write_bytes(npz(**{name: array.numpy() for name, array in arrays.items()}))
    elif path.suffix == ".safetensors":
        save_file(arrays, path)
    elif path.suffix == ".json":
        path.write_text(json.dumps({name: array.tolist() for name, array in arrays.items()}))
    else:
        torch.save({**arrays, "epoch": 3}, path)


# formats


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".json", ".pt", ".pth", ".bin", ".ckpt", ".PT"])
def test_a_file_of_several_arrays(tmp_path, suffix):
    path = tmp_path / f"batch{suffix}"
    save(path, {"logits": LOGITS, "labels": LABELS, "class_weight": torch.ones(3)})
    found = load(str(path))
    assert found.file == str(path)
    assert not found.is_table
    assert set(found.arrays) == {"logits", "labels", "class_weight"}
    equal(pick(found, "input", shared=True), LOGITS)
    equal(pick(found, "target", shared=True), LABELS)
    equal(pick(found, "weight", shared=True), torch.ones(3))


ALONE: dict[str, bytes] = {
    "a.npy": npy(LOGITS.numpy()),
    "fortran.npy": npy(np.asfortranarray(LOGITS.numpy())),
    "big_endian.npy": npy(LOGITS.numpy().astype(">f4")),
    "one.npz": npz(anything=LOGITS.numpy()),
    "a.json": json.dumps(LOGITS.tolist()).encode(),
    "bom.json": b"\xef\xbb\xbf" + json.dumps(LOGITS.tolist()).encode(),
    "a.csv": b"1.5,-2,0.25\n0,3,-1\n",
    "bom.csv": b"\xef\xbb\xbf1.5,-2,0.25\r\n\r\n  \r\n0,3,-1",
    "semicolons.csv": b"\n1.5; -2; .25\n0; 3; -1e0\n",
    "full_width.csv": "1.5，-2，0.25\n0，3，-1\n".encode(),
    "tabs.csv": b"1.5\t-2\t0.25\n0\t3\t-1\n",
    "a.tsv": b"1.5\t-2\t0.25\n0\t3\t-1\n",
    "quoted.csv": b'"1.5","-2","0.25"\n"0","3","-1"\n',
    "a.pt": torch_bytes(LOGITS),
    "old.pt": torch_bytes(LOGITS, _use_new_zipfile_serialization=False),
    "parameter.pt": torch_bytes(torch.nn.Parameter(LOGITS)),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_file_of_one_array(tmp_path, name):
    (tmp_path / name).write_bytes(ALONE[name])
    found = pick(load(str(tmp_path / name)), "input")
    assert type(found) is Tensor
    assert not found.requires_grad
    equal(found, LOGITS)


@pytest.mark.parametrize("name", [name for name in ALONE if not name.endswith(".pt")])
def test_standard_input_is_told_by_its_content(name):
    found = load("-", stdin=io.BytesIO(ALONE[name]))
    assert found.file == "standard input"
    equal(pick(found, "input"), LOGITS)


def test_standard_input_is_the_process_s(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\n2\n")))
    equal(load("-").arrays[""], torch.tensor([1, 2]))
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it when it is closed
    assert failure("-") == (
        "standard input: empty, there are no numbers in it",
        "标准输入：内容为空，其中没有数字",
    )


DTYPES = [torch.bool, torch.int8, torch.uint8, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64]


NOT_OF_NUMPY = [torch.bfloat16, torch.float8_e4m3fn]


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(".npz", dtype) for dtype in DTYPES]
    + [(suffix, dtype) for suffix in (".safetensors", ".pt") for dtype in DTYPES + NOT_OF_NUMPY],
    ids=str,
)
def test_dtypes(tmp_path, suffix, dtype):
    path = tmp_path / f"a{suffix}"
    save(path, {"a": torch.tensor([0, 1, 3]).to(dtype)})
    found = load(str(path)).arrays["a"]
    assert found.dtype is dtype
    assert found.double().tolist() == ([0, 1, 1] if dtype is torch.bool else [0, 1, 3])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", torch.tensor(3)),
        ("-0.5", torch.tensor(-0.5)),
        ("[]", torch.zeros(0)),
        ("[[], []]", torch.zeros(2, 0)),
        ("[1, 2]", torch.tensor([1, 2])),
        ("[1, 2.5]", torch.tensor([1, 2.5])),
        ("[true, false]", torch.tensor([True, False])),
        ("[[[1], [2]], [[3], [4]]]", torch.tensor([[[1], [2]], [[3], [4]]])),
        ("[NaN, Infinity, -Infinity, 0]", torch.tensor([math.nan, math.inf, -math.inf, 0])),
        ("[1e39]", torch.tensor([1e39], dtype=torch.float64)),
        ("[1e39, Infinity]", torch.tensor([1e39, math.inf], dtype=torch.float64)),
        ("[999999999999999999]", torch.tensor([999999999999999999])),
        ("[9999999999999999999]", torch.tensor([1e19])),  # above int64
        ("[1" + "0" * 20 + "]", torch.tensor([1e20])),
        ("[9223372036854775807, -9223372036854775808]", torch.tensor([2**63 - 1, -(2**63)])),
    ],
)
def test_numbers_of_json(tmp_path, text, expected):
    path = tmp_path / "a.json"
    path.write_text(text)
    found = load(str(path)).arrays[""]
    assert found.shape == expected.shape
    equal(found, expected)


@pytest.mark.parametrize(
    ("text", "expected", "header"),
    [
        ("2\n0\n", torch.tensor([2, 0]), None),
        ("label\n2\n0\n", torch.tensor([2, 0]), ("label",)),
        ("2,0\n", torch.tensor([[2, 0]]), None),
        ('cat, "dog, small"\n1,2\n3,4\n', torch.tensor([[1, 2], [3, 4]]), ("cat", "dog, small")),
        ('"a,b";c_1;"1_0"\n1;2;3\n', torch.tensor([[1, 2, 3]]), ("a,b", "c_1", "1_0")),
        ("1,2\n3,4.0\n", torch.tensor([[1.0, 2], [3, 4]]), None),
        ("nan,-inf\nINF,1\n", torch.tensor([[math.nan, -math.inf], [math.inf, 1]]), None),
        ("1e300\n1\n", torch.tensor([1e300, 1], dtype=torch.float64), None),
    ],
)
def test_numbers_of_csv(tmp_path, text, expected, header):
    path = tmp_path / "a.csv"
    path.write_text(text)
    found = load(str(path))
    assert (tuple(found.arrays) if found.is_table else None) == header
    equal(pick(found, "target" if header == ("label",) else "input"), expected)


def test_an_npy_file_is_mapped_and_never_written(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((4, 1024), np.float32))
    found = load(str(path)).arrays[""]
    before = path.read_bytes()
    with path.open("r+b") as stream:  # what the file holds now is seen: the numbers were not copied
        stream.seek(-4, os.SEEK_END)
        stream.write(struct.pack("<f", 7))
    assert found[3, -1] == 7
    found[0, 0] = 5
    assert path.read_bytes() == before[:-4] + struct.pack("<f", 7)


# errors: what a file holds, and the essential parts of its line


def archive(**entries: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return stream.getvalue()


def twice() -> bytes:
    """An archive with two entries of the same name."""
    content = archive(**{"a.npy": npy(np.ones(2)), "b.npy": npy(np.ones(2))})
    return content.replace(b"b.npy", b"a.npy")


def npy_of_header(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


COMPLEX, SPARSE = torch.zeros(2, dtype=torch.complex64), torch.eye(2).to_sparse()
PICKLED, RUN_CODE = "objects", "可能执行代码"

ERRORS: dict[str, tuple[bytes, tuple[str, ...], tuple[str, ...]]] = {
    "empty.csv": (b"", ("empty",), ("内容为空",)),
    "blank.csv": (b"\n \n", ("empty",), ("内容为空",)),
    "header.csv": (b"cat,dog\n", ("names without numbers below them: cat, dog",), ("下面没有数字：cat、dog",)),
    "bom.csv": (b"\xef\xbb\xbf", ("empty",), ("内容为空",)),
    "empty.npy": (b"", ("empty",), ("内容为空",)),
    "empty.json": (b"{}", ("empty",), ("内容为空",)),
    "empty.npz": (npz(), ("empty",), ("内容为空",)),
    "epoch.pt": (torch_bytes({"epoch": 3}), ("expected a tensor, or a dict",), ("应为张量",)),
    "tuple.pt": (torch_bytes((LOGITS, LABELS)), ("expected a tensor, or a dict",), ("应为张量",)),
    "a.xlsx": (b"PK", ("unknown suffix", ".npy", ".csv", ".jsonl", ".parquet, ", ".pt, …"), ("扩展名", ".json")),
    "a.parquet": (b"PAR1", ("corrupt, or no .parquet",), ("已损坏",)),
    "garbage.feather": (b"garbage", ("corrupt, or no .feather",), ("已损坏",)),
    "cut.jsonl": (b'{"a": 1}\n\n{"a": ', ("line 3, column 7: not JSON",), ("第 3 行第 7 列：不是有效的 JSON",)),
    "other.jsonl": (b'{"a": 1}\n{"b": 1}', ("row 2 has other entries than row 1: expected a",), ("第 2 行的条目",)),
    "lists.jsonl": (b"[1]\n[2]", ("row 1 has other entries",), ("第 1 行的条目",)),
    "rows.json": (b'[{"a": 1}, 2]', ("row 1 has other entries than row 0",), ("第 1 行的条目与第 0 行不同",)),
    "blank.jsonl": (b"\n\n", ("empty",), ("内容为空",)),
    "no_suffix": (b"1", ("unknown suffix", ".tsv"), ("扩展名",)),
    "latin.csv": ("1,2\n3,é\n".encode("latin-1"), ("line 2 is not UTF-8",), ("第 2 行不是 UTF-8",)),
    "bom_latin.json": (b"\xef\xbb\xbf[1,\n\xe9]", ("line 2 is not UTF-8",), ("第 2 行不是 UTF-8",)),
    "words.csv": (b"1,2\n\n3,four\n", ("line 3, column 2: 'four' is no number",), ("第 3 行第 2 列：'four' 不是数字",)),
    "mixed.csv": (b"cat,1\n2,3\n", ("line 1, column 1: 'cat'",), ("第 1 行第 1 列：'cat'",)),
    "same.csv": (b"cat,dog,cat\n0,1,2\n", ("the name cat is there twice",), ("名称 cat 出现了两次",)),
    "nameless.csv": (b",cat,1\n0,1,2\n", ("line 1, column 1: empty",), ("第 1 行第 1 列：为空",)),
    "open_quote.csv": (b'"1,2\n3,4\n', ("line 2: not CSV: unexpected end of data",), ("第 2 行：不是有效的 CSV",)),
    "spaces.csv": (b"1 2 3\n", ("'1 2 3' is no number; commas, semicolons or tabs",), ("请用逗号、分号或制表符",)),
    "bars.csv": (b"a|b\n1|2\n", ("line 2, column 1: '1|2' is no number; commas",), ("'1|2' 不是数字；数字之间",)),
    "quoted.csv": (b'"1,5","2"\n', ("column 1: '1,5' is no number; fractions follow a point",), ("小数点请用",)),
    "beyond.csv": (b"1,2\n3,-1e400\n", ("line 2, column 2: '-1e400' is more than",), ("'-1e400' 超出 64 位数",)),
    "digits.csv": (b"1\n" + b"9" * 400, ("line 2, column 1: '999", "9' is more than a number"), ("超出 64 位数",)),
    "two_headers.csv": (b"a,b\nc,d\n", ("line 2, column 1: 'c'",), ("第 2 行第 1 列：'c'",)),
    "hole.csv": (b"1,2\n3,\n", ("line 2, column 2: empty, expected a number",), ("第 2 行第 2 列：为空",)),
    "holes.csv": (b"1,2\n,\n", ("line 2, column 1: empty, expected a number",), ("第 2 行第 1 列：为空",)),
    "control.csv": (b"1,\x1c2\n", (r"line 1, column 2: '\x1c2' is no number",), (r"'\x1c2' 不是数字",)),
    "separated.csv": (b"1,1_0\n", ("line 1, column 2: '1_0'",), ("第 1 行第 2 列：'1_0'",)),
    "commas.csv": (
        b"0;2,5\n",
        ("column 2: '2,5' is no number; fractions follow a point",),
        ("'2,5' 不是数字；小数点请用",),
    ),
    "ragged.csv": (
        b"\n1,2\n3,4,5\n",
        ("line 3", "cells 3, expected 2 as in line 2"),
        ("第 3 行有 3 个", "第 2 行相同"),
    ),
    "below_header.csv": (b"a,b\n1\n", ("line 2", "cells 1, expected 2"), ("第 2 行有 1 个单元格", "为 2 个")),
    "huge_cell.csv": (b"1\n" + b"9" * 200_000, ("line 2: not CSV",), ("第 2 行：不是有效的 CSV",)),
    "escapes.csv": (b"1\n\x1b[31m\xe2\x80\xae\n", (r"'\x1b[31m\u202e' is",), (r"'\x1b[31m\u202e' 不是",)),
    "cut.json": (b"[1,\n 2", ("line 2, column 3: not JSON",), ("第 2 行第 3 列：不是有效的 JSON",)),
    "huge.json": (
        b"[[1, 2], [3, -1e400]]",
        ("[1][1] is -1e400, more than a number of 64 bits holds",),
        ("[1][1] 是 -1e400，超出 64 位数的范围",),
    ),
    "digits.json": (
        b"[1" + b"0" * 5000 + b"]",
        ("[0] is 1000", "000, more than"),
        ("超出 64 位数",),
    ),  # no int for Python
    "deep.json": (b"[" * 200_000, ("nested too deeply",), ("嵌套过深",)),
    "65.json": (b"[" * 65 + b"1" + b"]" * 65, ("nested too deeply",), ("嵌套过深",)),
    "deep_object.json": (b'{"a":' * 200_000, ("nested too deeply",), ("嵌套过深",)),
    "word.json": ('[[1], [2], ["猫"]]'.encode(), ('[2][0] is "猫", expected a number',), ('[2][0] 是 "猫"，应为数字',)),
    "named.json": (b'{"logits": [[1, 2], [3, "x"]]}', ('logits[1][1] is "x"',), ('logits[1][1] 是 "x"',)),
    "root.json": (b'"x"', ('the nameless array is "x"',), ('未命名的数组 是 "x"',)),
    "object.json": ('{"猫": {"b": [1]}}'.encode(), ("猫 is {…}, expected a number",), ("猫 是 {…}，应为数字",)),
    "list.json": (b"[1, [2]]", ("[1] is […], expected a number",), ("[1] 是 […]，应为数字",)),
    "bools.json": (b"[1, true]", ("[1] is true",), ("[1] 是 true",)),
    "numbers.json": (b"[true, 1]", ("[1] is 1",), ("[1] 是 1",)),
    "no_list.json": (b"[[1, 2], 3]", ("[1] is 3, expected a list of length 2",), ("[1] 是 3，应为长度是 2 的列表",)),
    "ragged.json": (
        b"[[[1], [1]], [[1], [1, 2]]]",
        ("[1][1] has length 2, expected 1",),
        ("[1][1] 的长度是 2", "为 1"),
    ),
    "twice.json": (b'{"a": [1], "a": [2]}', ("name a is there twice",), ("名称 a 出现了两次",)),
    "format.json": (b'{"{file}{0}": ["{x}"]}', ('{file}{0}[0] is "{x}"',), ('{file}{0}[0] 是 "{x}"',)),
    "lines.json": (b'{"a\\n\\u2028b": 0, "a\\n\\u2028b": 0}', (r"name a\n\u2028b is",), (r"名称 a\n\u2028b 出",)),
    "surrogate.json": (b'{"\\ud800": null}', (r"\ud800 is null",), (r"\ud800 是 null",)),
    "twice.npz": (twice(), ("name a is there twice",), ("名称 a 出现了两次",)),
    "text.npz": (archive(**{"notes.txt": b"hello"}), ("corrupt, no .npz file",), ("已损坏",)),
    "complex.npy": (npy(np.zeros(2, complex)), ("nameless array is of complex128",), ("类型是 complex128",)),
    "strings.npz": (npz(a=np.array(["x"])), ("a is of <U1",), ("a 的类型是 <U1",)),
    "dates.npy": (npy(np.zeros(1, "datetime64[s]")), ("is of datetime64[s]",), ("类型是 datetime64[s]",)),
    "records.npy": (npy(np.zeros(1, [("a", "f4")])), ("is of [('a', '<f4')]",), ("类型是 [('a', '<f4')]",)),
    "long.npy": (npy(np.zeros(1, np.longdouble)), ("is of float128",), ("类型是 float128",)),
    "objects.npy": (npy(np.array([{}]), allow_pickle=True), (PICKLED, ".npy"), (RUN_CODE, ".npy")),
    "garbage.npy": (b"garbage", (PICKLED,), (RUN_CODE,)),
    "cut.npy": (npy(np.zeros(9))[:-1], ("corrupt",), ("已损坏",)),
    "nested.npy": (npy_of_header(b"-" * 9000), ("corrupt",), ("已损坏",)),
    "cut.npz": (npz(a=np.zeros(9))[:-30], ("corrupt", ".npz"), ("已损坏", ".npz")),
    "damaged.npz": (npz(a=np.zeros(9)).replace(b"\0" * 72, b"\1" * 72), ("corrupt",), ("已损坏",)),
    "garbage.pt": (b"garbage", (PICKLED, ".pt"), (RUN_CODE, ".pt")),
    "cut.pth": (torch_bytes(LOGITS)[:-30], ("corrupt", ".pth"), ("已损坏", ".pth")),
    "module.bin": (torch_bytes(torch.nn.Linear(2, 2)), (PICKLED, ".bin"), (RUN_CODE, ".bin")),
    "complex.pt": (torch_bytes({"a": COMPLEX}), ("a is of torch.complex64",), ("a 的类型是 torch.complex64",)),
    "sparse.pt": (torch_bytes({"a": SPARSE}), ("a is of", "sparse_coo", "dense"), ("sparse_coo", "稠密")),
    "meta.pt": (torch_bytes(torch.ones(2, device="meta")), ("array is of", "meta"), ("meta", "稠密")),
    "expanded.pt": (torch_bytes(torch.ones(1).expand(2**45)), ("memory",), ("内存",)),
    "twice.pt": (torch_bytes({1: LOGITS, "1": LOGITS}), ("name 1 is there twice",), ("名称 1 出现了两次",)),
    "garbage.safetensors": (b"garbage", ("corrupt, or no .safetensors file",), ("已损坏", ".safetensors")),
    "cut.safetensors": (struct.pack("<Q", 99) + b"{}", ("corrupt, or no .safetensors",), ("已损坏",)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_line_and_names_the_place(tmp_path, name):
    content, english, chinese = ERRORS[name]
    (tmp_path / name).write_bytes(content)
    for message, colon, parts in zip(failure(tmp_path / name), (": ", "："), (english, chinese), strict=True):
        assert message.startswith(f"{tmp_path / name}{colon}")
        assert message.isprintable()
        for part in parts:
            assert part in message


def test_tensors_of_which_torch_warns_are_refused_without_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch_bytes(torch.quantize_per_tensor(torch.ones(3), 1, 0, torch.qint8))
        nested = torch_bytes(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))
    for content, dtype in ((quantized, "torch.qint8"), (nested, "torch.float32")):
        (tmp_path / "a.pt").write_bytes(content)
        said = failure(tmp_path / "a.pt")[0]
        assert (f"is of {dtype}" in said and "expected a dense array" in said) or refused_by_torch(content, said)


def refused_by_torch(content, said):
    """Whether torch does not load it without running code, as it does not load nested tensors since 2.15."""
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(content), weights_only=True)
    return "not loaded because they can run code" in said


def test_paths_that_cannot_be_read(tmp_path, monkeypatch):
    missing, folder, closed = tmp_path / "no\nwhere.csv", tmp_path / "a.npy", tmp_path / "closed.json"
    assert failure(missing) == (
        f"{tmp_path}/no\\nwhere.csv: there is no such file",
        f"{tmp_path}/no\\nwhere.csv：文件不存在",
    )
    folder.mkdir()
    assert failure(folder) == (
        f"{folder}: a directory, expected a file, or a dataset that save_to_disk wrote",
        f"{folder}：这是目录，应为文件，或者 save_to_disk 写出的数据集",
    )
    closed.write_text("[1]")
    monkeypatch.setattr(os, "access", lambda file, mode: not (file == str(closed) and mode == os.R_OK))
    assert failure(closed) == (f"{closed}: no permission to read it", f"{closed}：没有读取权限")


def test_an_error_while_reading(tmp_path, monkeypatch):
    def fail(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    (tmp_path / "a.csv").write_text("1")
    english, chinese = failure(tmp_path / "a.csv")
    assert english.endswith(": cannot be read: Input/output error")
    assert chinese.endswith("：无法读取：Input/output error")
    with os.fdopen(os.open(tmp_path / "a.csv", os.O_WRONLY), "rb") as unreadable, pytest.raises(UnusableFileError) as e:
        load("-", stdin=unreadable)
    assert str(e.value).startswith("standard input: cannot be read: ")


@pytest.mark.parametrize("data", [b"\x80\x05\x95\0\0\0", "[1]".encode("utf-16")], ids=["pickle", "utf-16"])
def test_standard_input_of_unknown_content(data):
    english, chinese = failure("-", data)
    assert english.startswith("standard input: unknown format")
    assert chinese.startswith("标准输入：无法识别的格式")
    assert ".npz" in english
    assert ".npz" in chinese


def test_faults_of_standard_input():
    assert failure("-", b"\xef\xbb\xbf [1, x]")[0] == "standard input: line 1, column 6: not JSON"
    assert failure("-", b"1\nx")[1] == "标准输入：第 2 行第 1 列：'x' 不是数字"
    assert "corrupt" in failure("-", npy(np.zeros(3))[:-1])[0]
    assert "corrupt" in failure("-", torch_bytes({"a": LOGITS})[:-9])[0]


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("a.npy", "numpy", "explain"),
        ("a.npz", "numpy", "explain"),
        ("a.safetensors", "safetensors", "explain"),
        ("a.parquet", "pyarrow", "tables"),
    ],
)
def test_a_missing_package_is_named_with_the_remedy(tmp_path, monkeypatch, name, package, extra):
    (tmp_path / name).write_bytes(npy(np.zeros(2)))
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "crossentropy._explain._arrow", raising=False)
    monkeypatch.delattr("crossentropy._explain._arrow", raising=False)
    for message in failure(tmp_path / name):
        assert f" {package}" in message.removeprefix(str(tmp_path / name))
        assert message.endswith(installation(extra))


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a{suffix}"
    save(path, {"a": LOGITS})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a/bomb.npy", npy(np.zeros(2**17)))
    assert path.stat().st_size < 2**14
    free = [2**20]
    monkeypatch.setattr(_files, "_free_memory", lambda: free[0])
    assert "larger than this machine's free memory" in failure(path)[0]
    assert "超出本机可用内存" in failure(path)[1]
    free[0] *= 2
    equal(load(str(path)).arrays["a"], LOGITS)


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.npz", "a.pt", "a.safetensors"])
def test_what_is_larger_than_what_is_free_is_not_read(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(b"1\n" * 2**10)
    monkeypatch.setattr(Path, "read_bytes", None)
    monkeypatch.setattr(_files, "_free_memory", lambda: 2**11 - 1)
    assert "memory" in failure(tmp_path / name)[0]


def test_standard_input_that_never_ends_is_not_read_for_ever(monkeypatch):
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert size >= 0
            return b"1" * size

    monkeypatch.setattr(_files, "_free_memory", lambda: 2**20)
    with pytest.raises(UnusableFileError, match="memory"):
        load("-", stdin=Endless())


def test_what_is_free_is_what_the_system_or_its_container_has(monkeypatch):
    told = {"MemAvailable:": 2**20, "max": None, "current": 2**19, "stat": 2**10}
    monkeypatch.setattr(
        _files, "_counted", lambda file, name="": told[name if "meminfo" in file else file.rpartition(".")[2]]
    )
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 2**12, "SC_PHYS_PAGES": 2**30}.__getitem__)
    assert _files._free_memory() == 2**30
    told["max"] = 2**20
    assert _files._free_memory() == 2**19 + 2**10
    monkeypatch.undo()
    assert 0 < _files._free_memory() < 2**60
    assert _files._counted("/proc/none") is None


HEADER = "{{'descr': '<f8', 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize("shape", [(2**40,), (2**62, 2), (2**31, 2**31, 4), (-1, 3), (10**400,)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_header_that_promises_more_than_there_is(tmp_path, shape, suffix):
    content = npy_of_header(HEADER.format(shape).encode().ljust(501) + b"\n") + b"\0" * 64
    (tmp_path / f"a{suffix}").write_bytes(content if suffix == ".npy" else archive(**{"a.npy": content}))
    assert "corrupt" in failure(tmp_path / f"a{suffix}")[0]


def test_text_and_torch_s_files_need_no_other_package(tmp_path):
    save(tmp_path / "a.json", {"a": LOGITS})
    save(tmp_path / "a.pt", {"a": LOGITS})
    code = """
import sys
sys.modules["numpy"] = sys.modules["safetensors"] = None
from crossentropy._explain._files import load
print([load(file).arrays["a"].shape for file in sys.argv[1:]])
"""
    files = [str(tmp_path / "a.json"), str(tmp_path / "a.pt")]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[torch.Size([2, 3]), torch.Size([2, 3])]", done.stderr


class _Bomb:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, (str(self.proof),)


def test_no_code_of_a_file_is_run(tmp_path):
    proof = tmp_path / "it ran"
    bomb = np.empty(1, object)
    bomb[0] = _Bomb(proof)
    contents = {
        "array.npy": npy(bomb, allow_pickle=True),
        "arrays.npz": archive(**{"a.npy": npy(bomb, allow_pickle=True)}),
        "pickle.npy": pickle.dumps(_Bomb(proof)),
        "pickle.npz": pickle.dumps(_Bomb(proof)),
        "zip.pt": torch_bytes({"a": LOGITS, "b": _Bomb(proof)}),
        "old.bin": torch_bytes(_Bomb(proof), _use_new_zipfile_serialization=False),
        "pickle.ckpt": pickle.dumps(_Bomb(proof)),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert "they can run code" in failure(tmp_path / name)[0], name
        assert not proof.exists(), name
    failure("-", contents["array.npy"])
    assert not proof.exists()
    pickle.loads(contents["pickle.npy"])
    assert proof.exists()  # else the above shows nothing


# names


def batch(**arrays: Tensor) -> Arrays:
    return Arrays("batch.npz", arrays)


@pytest.mark.parametrize("role", NAMES)
def test_each_role_has_its_names(role):
    for name in NAMES[role]:
        found = Arrays("a", {"other": LOGITS, name.upper(): LABELS})
        assert pick(found, role) is LABELS


def test_no_name_has_two_roles():
    names = [name for names in NAMES.values() for name in names]
    assert len(names) == len(set(names))


def picking(arrays: Arrays, role: str, **settings) -> tuple[str, str]:
    with pytest.raises(UnusableFileError) as caught:
        pick(arrays, role, **settings)
    return caught.value.message("en"), caught.value.message("zh")


def test_names_that_do_not_tell():
    english, chinese = picking(batch(a=LOGITS, b=LABELS), "target")
    assert english == (
        "batch.npz: which array is target? It has a, b, accepted names are target, targets, label, labels, y, class, "
        "标签, 目标, 类别"
    )
    assert chinese == (
        "batch.npz：哪个数组是 target？文件中有 a、b；可用的名称有 target、targets、label、labels、y、class、"
        "标签、目标、类别"
    )
    english, chinese = picking(batch(y=LABELS, label=LABELS, z=LOGITS), "target")
    assert english == "batch.npz: which array is target? Each of y, label could be"
    assert chinese == "batch.npz：哪个数组是 target？y、label 都有可能"


def test_the_only_array_needs_its_name_where_roles_share_a_file():
    assert pick(batch(anything=LOGITS), "target") is LOGITS
    assert pick(batch(logits=LOGITS), "input", shared=True) is LOGITS
    assert "It has logits, accepted" in picking(batch(logits=LOGITS), "target", shared=True)[0]
    english, chinese = picking(Arrays("a.npy", {"": LOGITS}), "target", shared=True)
    assert "It has the nameless array, accepted names are target," in english
    assert "文件中有 未命名的数组；可用的名称有 target、" in chinese


def test_long_and_many_names_are_shortened():
    name, many = "a" * 100 + "\n" * 100, {f"n{i}": LOGITS for i in range(1000)}
    assert (
        picking(Arrays("a.pt", {name: LOGITS}), "input", shared=True)[0].count("a" * 30 + "…" + r"\n" * 30 + ",") == 1
    )
    assert "n10, n11, …, accepted" in picking(Arrays("a.pt", many), "input")[0]


# tables

NAMED = "id,a,b,c,label\n7,1.5,-2,0.25,c\n8,0,3,-1,a\n"


def table(tmp_path: Path, text: str, name: str = "t.csv") -> Arrays:
    (tmp_path / name).write_text(text)
    return load(str(tmp_path / name))


def chosen(arrays: Arrays) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of logits and target that a file with both has by their names."""
    y = columns(arrays, "target", shared=True)
    return columns(arrays, "input", shared=True, taken=y), y


def arrow_table() -> "pa.Table":
    return pa.table(
        {
            "id": [7, 8],
            "a": pa.array([1.5, 0], pa.float32()),
            "b": pa.array([-2, 3], pa.float32()),
            "c": pa.array([0.25, -1], pa.float32()),
            "label": pa.array(["c", "a"]).dictionary_encode(),
        }
    )


def stream(found: "pa.Table") -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found, max_chunksize=1)
    return sink.getvalue()


def test_a_table_has_logits_labels_and_names_in_any_format(tmp_path):
    rows = [dict(zip(("id", "a", "b", "c", "label"), row)) for row in ((7, 1.5, -2, 0.25, "c"), (8, 0, 3, -1, "a"))]
    lines = "\n".join(map(json.dumps, rows)) + "\n"
    texts = {"t.csv": NAMED, "t.tsv": NAMED.replace(",", "\t"), "t.json": json.dumps(rows), "lines.json": lines}
    texts |= {"t.jsonl": lines, "index.csv": "".join(f"{i},{line}\n" for i, line in zip(" 01", NAMED.split()))}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    pq.write_table(arrow_table(), tmp_path / "t.parquet", row_group_size=1)
    feather.write_feather(arrow_table(), tmp_path / "t.feather")
    (tmp_path / "t.arrow").write_bytes(stream(arrow_table()))
    for name in (*texts, "t.parquet", "t.feather", "t.arrow"):
        found = load(str(tmp_path / name))
        x, y = chosen(found)
        assert (x, y) == (("a", "b", "c"), ("label",)), name
        equal(numbers(found, x), LOGITS)
        equal(labels(found, y, x, -100), LABELS)


def test_datasets_are_read_as_their_package_wrote_them(tmp_path, monkeypatch):
    import datasets

    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "logits": datasets.Sequence(datasets.Value("float32")),
            "square": datasets.Array2D((2, 2), "float32"),
            "label": datasets.ClassLabel(names=["x", "y", "z"]),
        }
    )
    square = [[[1.0, 2], [3, 4]], [[5.0, 6], [7, 8]]]
    columns_ = {"text": ["hi", "ho"], "logits": LOGITS.tolist(), "square": square, "label": LABELS.tolist()}
    written = datasets.Dataset.from_dict(columns_, features=features)
    written.save_to_disk(tmp_path / "one", num_shards=2)
    datasets.DatasetDict({"train": written, "test": written}).save_to_disk(tmp_path / "both")
    for folder in ("one", "both/test"):
        found = load(str(tmp_path / folder))
        assert chosen(found) == (("logits",), ("label",))
        equal(numbers(found, ("logits",)), LOGITS)
        equal(numbers(found, ("square",)), torch.tensor(square))
        equal(labels(found, ("label",), None, -100), LABELS)
        assert found.class_names == {"label": ("x", "y", "z")}
    english, chinese = failure(tmp_path / "both")
    assert english.endswith("give one of its directories, train, test")
    assert "请给出其中一个" in chinese
    state = json.loads((tmp_path / "one/state.json").read_text())
    state["_data_files"] = [{"filename": "../both/test/" + state["_data_files"][0]["filename"]}]
    (tmp_path / "one/state.json").write_text(json.dumps(state))
    assert len(numbers(load(str(tmp_path / "one")), ("label",))) == 1  # a dataset leads to no other directory
    (tmp_path / "one/state.json").write_text("{}")
    assert "corrupt" in failure(tmp_path / "one")[0]


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("0,1,2,label\n1.5,-2,.25,2\n0,3,-1,0\n", ("0", "1", "2"), ("label",)),
        ("x,Label,y1\n1,0,2\n3,1,4\n", ("x", "y1"), ("Label",)),
        ("image_id,a,b,class,file\n1,.5,1,0,p.png\n2,1,.5,1,q.png\n", ("a", "b"), ("class",)),
        ("a,b,targets,\n1,2,0,\n3,4,1,\n", ("a", "b"), ("targets",)),
        ("a,b,weight,y\n1,2,.5,0\n3,4,1,1\n", ("a", "b"), ("y",)),
    ],
)
def test_columns_are_told_by_their_names(tmp_path, text, x, y):
    assert chosen(table(tmp_path, text)) == (x, y)


def test_labels_are_names_where_classes_are_named(tmp_path):
    ones = table(tmp_path, "1,2,3,label\n1,2,.5,3\n1,0,0,1\n1,2,3,-1\n")
    x, y = chosen(ones)
    assert x == ("1", "2", "3")
    assert labels(ones, y, x, -1).tolist() == [2, 0, -1]  # class "3" is the third
    assert labels(ones, y, ("p", "q", "r"), -1).tolist() == [3, 1, -1]
    soft = table(tmp_path, "a,b,p,q\n1,2,.5,.5\n")
    equal(labels(soft, ("p", "q"), ("a", "b"), -100), torch.tensor([[0.5, 0.5]]))
    for names, said in (
        ((), "give them with --class-names"),
        (("b",), "label[0] is 'c', expected the name of a class: b"),
    ):
        with pytest.raises(UnusableFileError) as caught:
            labels(table(tmp_path, NAMED), ("label",), names or None, -100)
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,truth\n1,2,0\n3,4,1\n", "which column is target? It has a, b, truth; accepted names are target, "),
        ("n,a,label\n0,.5,1\n1,2.5,0\n2,1,1\n", "n counts the rows, and is no class? Say with --from logits=… which"),
        ("a,b,label\n1,2,0\n3,x,1\n", "line 3, column 2: 'x' is no number"),
        ("a,b,label\nx,2,0\n3,2,1\n", "line 2, column 1: 'x' is no number"),
        ("a,b,label\n1,,0\n3,2,1\n", "line 2, column 2: empty"),
        ("id,name,label\n1,x,0\n", "which column is input?"),
        ("y,label,a\n1,2,0\n", "which array is target? Each of y, label could be"),
    ],
)
def test_nothing_is_guessed_of_a_table(tmp_path, text, said):
    with pytest.raises(UnusableFileError) as caught:
        chosen(table(tmp_path, text))
    assert said in str(caught.value)


def test_a_class_that_is_called_like_a_label_is_not_left_out(tmp_path):
    with pytest.raises(UnusableFileError, match="is y a class, though the targets are in another file"):
        columns(table(tmp_path, "x,y,z\n1,2,3\n"), "input")


def test_columns_that_are_asked_for(tmp_path):
    found = table(tmp_path, 'z_1,"z,2",z_3,n\n1,2,3,4\n5,6,7,x\n')
    assert columns(found, "input", _arguments.asked('logits="z,2", z_1')[1]) == ("z,2", "z_1")
    assert columns(found, "input", ("z_*", "n")) == ("z_1", "z_3", "n")
    equal(numbers(found, ("z,2", "z_1")), torch.tensor([[2, 1], [6, 5]]))
    for wanted, said in ((("q",), "there is no q; it has z_1, z,2, z_3, n"), (("z_*", "z_1"), "asks for z_1 twice")):
        with pytest.raises(UnusableFileError, match=re.escape(said)):
            columns(found, "input", wanted)
    with pytest.raises(UnusableFileError, match="line 3, column 4: 'x' is no number"):
        numbers(found, ("z_1", "n"))
    for text in ("a,b", "logits", "logits=", "id=a", 'logits="a', "logits=a\nb"):
        with pytest.raises((ValueError, csv.Error)):
            _arguments.asked(text)


def test_columns_of_arrow_that_are_no_numbers(tmp_path):
    found = pa.table(
        {
            "hole": pa.array([1.0, None]),
            "deep": pa.array([[[1.0], [2.0]], [[3.0], [None]]]),
            "ragged": pa.array([[1.0], [2.0, 3.0]]),
            "struct": pa.array([{"a": 1}, {"a": 2}]),
            "bytes": pa.array([b"x", b"y"]),
            "text": pa.array(["p", "q"]),
            "decimal": pa.array([1, 2], pa.decimal128(4, 1)),
            "half": pa.array(np.array([1, 2], np.float16)),
            "flag": pa.array([True, False]),
            "fixed": pa.array([[1, 2], [3, 4]], pa.list_(pa.int16(), 2)),
        }
    )
    pq.write_table(found, tmp_path / "t.parquet")
    read = load(str(tmp_path / "t.parquet"))
    faults = {n: str(v.fault).partition(": ")[2] for n, v in read.arrays.items() if isinstance(v, Words)}
    assert faults == {
        "hole": "hole[1] is empty, expected a number",
        "deep": "deep[1] is empty, expected a number",
        "ragged": "the lists of ragged are of different lengths, as 1 and 2",
        "struct": "struct is of struct<a: int64>, expected a dense array of real numbers",
        "bytes": "bytes is of binary, expected a dense array of real numbers",
        "text": "text holds words as 'p', expected numbers",
    }
    assert numbers(read, ("decimal", "half", "flag")).tolist() == [[1, 1, 1], [2, 2, 0]]
    assert numbers(read, ("fixed",)).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(UnusableFileError, match="column fixed has shape \\(2 × 2\\), expected one number a row"):
        numbers(read, ("flag", "fixed"))


def test_a_column_that_is_stored_once_is_not_unpacked(tmp_path, monkeypatch):
    pq.write_table(pa.table({"a": np.zeros(2**20), "label": np.zeros(2**20, int)}), tmp_path / "bomb.parquet")
    assert os.path.getsize(tmp_path / "bomb.parquet") < 2**14
    monkeypatch.setattr(_files, "_free_memory", lambda: 2**23)
    assert "memory" in failure(tmp_path / "bomb.parquet")[0]
