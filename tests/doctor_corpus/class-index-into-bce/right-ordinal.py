"""Ordinal regression: class indices become the answers to "is it above k?", each a binary label."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(173)
GRADES = 5
essays = torch.randn(80, 12)
grade = torch.bucketize(essays[:, 0].contiguous(), torch.tensor([-1.0, -0.3, 0.3, 1.0]))
levels = (grade.unsqueeze(1) > torch.arange(GRADES - 1)).float()

model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, GRADES - 1))
opt = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(5):
    loss = F.binary_cross_entropy_with_logits(model(essays), levels)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(epoch, loss.item())
