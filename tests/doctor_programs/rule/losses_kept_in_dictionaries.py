import torch
import torch.nn.functional as F

model = torch.nn.Linear(3, 4)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
outputs, numbers = [], []
for x, y in batches:
    z = model(x)
    step = {"loss": F.cross_entropy(z, y), "accuracy": (z.argmax(1) == y).float().mean()}
    outputs.append(step)  # finds loss-graph-retained certain
    numbers.append({"loss": step["loss"].item()})
    optimizer.zero_grad()
    step["loss"].backward()
    optimizer.step()
