import torch.nn as nn


class FrameNet(nn.Module):
    """Frame-wise classifier: (batch, frames, features) to (batch, frames, phonemes)."""

    def __init__(self, features, phonemes):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, nhead=2, dim_feedforward=32, dropout=0.0, batch_first=True)
        self.inp = nn.Linear(features, 16)
        self.encoder = nn.TransformerEncoder(layer, num_layers=1)
        self.out = nn.Linear(16, phonemes)

    def forward(self, audio):
        return self.out(self.encoder(self.inp(audio)))
