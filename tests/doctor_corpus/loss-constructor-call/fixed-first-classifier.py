import torch
import torch.nn as nn

torch.manual_seed(271)
inputs = torch.randn(30, 4)
targets = torch.randint(0, 3, (30,))

model = nn.Sequential(
    nn.Linear(4, 8),
    nn.ReLU(),
    nn.Linear(8, 3),
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for epoch in range(5):
    outputs = model(inputs)
    loss = nn.CrossEntropyLoss()(outputs, targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print("epoch", epoch, "loss", loss.item())
