"""Losses of the time steps are kept with their graph, but only until their sum is differentiated."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(303)
cell = nn.GRUCell(5, 16)
readout = nn.Linear(16, 3)
opt = torch.optim.Adam([*cell.parameters(), *readout.parameters()], lr=0.01)
for episode in range(5):
    series = torch.randn(7, 12, 5)
    state = torch.zeros(12, 16)
    losses = []
    for frame in series:
        state = cell(frame, state)
        losses.append(F.cross_entropy(readout(state), frame[:, :3].argmax(1)))
    loss = torch.stack(losses).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(episode, loss.item())
