from torch import nn

MODELS = {}


def register(f):
    MODELS[f.__name__] = f
    return f


@register
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, x):
        return self.linear(x).softmax(1)


def build(name):
    return MODELS[name]()
