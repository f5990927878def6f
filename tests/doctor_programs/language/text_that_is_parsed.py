import ast
import json

import torch
from torch import nn

TEXT = """
inputs: 3
labels: 6
rate: 0.01
output: softmax
other: none
"""


def load(text):
    table = {}
    for line in text.strip().splitlines():
        key, value = (part.strip() for part in line.split(":"))
        try:
            table[key] = float(value) if "." in value else int(value)
        except ValueError:
            table[key] = value
    return table


def literal(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        print(error)
        return text


def activation(name):
    if name == "softmax":
        return nn.Softmax(-1)
    if name == "sigmoid":
        return nn.Sigmoid()
    return nn.Identity()


class Net(nn.Module):
    def __init__(self, inputs, labels, output):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, labels), activation(output))

    def forward(self, x):
        return self.layers(x)


table = load(TEXT)
x, y = torch.rand(8, 3), (torch.rand(8, 6) < 0.4).float()
bce, ce = nn.BCELoss(), nn.CrossEntropyLoss()

bce(Net(table["inputs"], table["labels"], table["output"])(x), y).backward()  # finds softmax-before-bce certain
bce(Net(table["inputs"], table["labels"], "sigmoid")(x), y).backward()
bce(Net(3, 6, literal("softmax"))(x), y).backward()  # finds softmax-before-bce certain
bce(Net(3, 6, literal("'sigmoid'"))(x), y).backward()

pairs = dict(entry.split("=") for entry in "inputs=3 output=sigmoid".split())
ce(Net(int(pairs["inputs"]), 6, pairs["output"])(x), y.argmax(1)).backward()  # finds sigmoid-before-cross-entropy certain

options = json.loads('{"output": "softmax", "classes": 6}')
ce(Net(3, options["classes"], options["output"])(x), y.argmax(1)).backward()  # finds softmax-before-cross-entropy certain
options = json.loads('{"output": "none", "classes": 6}')
ce(Net(3, options["classes"], options["output"])(x), y.argmax(1)).backward()


def number(text, strict):
    try:
        width = int(text) if strict else 6
    except ValueError:
        width = 1
    return width


def chosen(strict, x, y):
    return ce(nn.Linear(3, number("six", strict))(x), y)


def nested(text):
    try:
        try:
            return int(text)
        except KeyError:
            return 1
    except ValueError:
        return 6


ce(nn.Linear(3, nested("six"))(x), y.argmax(1)).backward()
