"""A convolution gives (N, C, T) already; T happens to equal C."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(83)
SLEEP_STAGES = 5
EPOCHS_PER_NIGHT = 5


class SleepStager(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(8, 16)
        self.conv = nn.Conv1d(16, SLEEP_STAGES, 3, padding=1)

    def forward(self, eeg):
        h = torch.relu(self.mix(eeg))
        return self.conv(h.transpose(1, 2))


eeg = torch.randn(32, EPOCHS_PER_NIGHT, 8)
stages = eeg[..., :5].argmax(-1)
stager = SleepStager()
optimizer = torch.optim.Adam(stager.parameters(), lr=0.01)
for step in range(5):
    loss = F.cross_entropy(stager(eeg), stages)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
