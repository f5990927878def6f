"""Classes that inherit from those of libraries, which are given a model and a loss, or padding, and pass them on."""

from skorch import NeuralNet
from torch import nn
from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper


class Remote(NeuralNet):
    def __init__(self, module, criterion, workers, **settings):
        self.workers = workers
        super().__init__(module, criterion, **settings)


class Generator(AutoregressiveWrapper):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class Squashed(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(8, 4)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x):
        return self.softmax(self.last(x))


inner = TransformerWrapper(num_tokens=99, max_seq_len=16, attn_layers=Decoder(dim=8, depth=1))
decoder = Generator(inner, pad_value=1)  # finds padding-not-ignored likely
other = Generator(inner, pad_value=1, ignore_index=1)
net = Remote(Squashed, nn.CrossEntropyLoss, workers=2)  # finds softmax-before-cross-entropy certain
plain = Remote(Squashed, nn.MSELoss, workers=2)
