import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

EMOTIONS = ("joy", "anger", "fear", "sadness")


def collate(samples):
    faces = torch.stack([face for face, _ in samples])
    ids = torch.tensor([EMOTIONS.index(name) for _, name in samples])
    return faces, ids


def make_samples(n):
    return [(torch.randn(1, 12, 12), EMOTIONS[i % len(EMOTIONS)]) for i in range(n)]


class FaceNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 5)
        self.fc = nn.Linear(6 * 4 * 4, len(EMOTIONS))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc(torch.flatten(x, 1))


if __name__ == "__main__":
    torch.manual_seed(132)
    net = FaceNet()
    opt = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    for faces, emotion in DataLoader(make_samples(40), batch_size=10, collate_fn=collate):
        loss = F.cross_entropy(net(faces), emotion)
        opt.zero_grad()
        loss.backward()
        opt.step()
        print(loss.item())
