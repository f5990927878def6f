import torch
from net import FrameNet
from steps import train_step

torch.manual_seed(82)
FRAMES = 12
net = FrameNet(features=13, phonemes=12)
optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
for i in range(5):
    audio = torch.randn(16, FRAMES, 13)
    phonemes = audio[..., :12].argmax(-1)
    print(i, round(train_step(net, optimizer, audio, phonemes), 4))
