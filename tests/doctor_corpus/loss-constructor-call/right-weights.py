"""A tensor given to the constructor is right where it holds the weights of the classes."""
import torch
import torch.nn as nn

torch.manual_seed(273)
x = torch.randn(48, 7)
y = torch.randint(0, 4, (48,))
flags = (torch.rand(48, 2) < 0.2).float()
weights = torch.tensor([1.0, 0.5, 2.0, 1.0])
model = nn.Linear(7, 6)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(5):
    out = model(x)
    kinds, alarms = out[:, :4], out[:, 4:]
    loss = nn.CrossEntropyLoss(weights)(kinds, y)
    loss = loss + nn.BCEWithLogitsLoss(pos_weight=torch.tensor([4.0, 4.0]))(alarms, flags)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
