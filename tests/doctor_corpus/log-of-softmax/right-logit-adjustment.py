"""Long-tailed classes: the logarithm of the class frequencies is added to the logits."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(37)
frequency = torch.tensor([0.6, 0.25, 0.1, 0.05])
y = torch.multinomial(frequency, 120, replacement=True)
x = torch.randn(120, 10) + torch.eye(4, 10)[y] * 2

prior = torch.bincount(y, minlength=4).float()
prior = prior / prior.sum()
log_prior = torch.log(prior.clamp(min=1e-6))

model = nn.Linear(10, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
for epoch in range(5):
    log_probs = F.log_softmax(model(x) + log_prior, dim=1)
    entropy = -(log_probs.exp() * log_probs).sum(dim=1).mean()
    loss = F.nll_loss(log_probs, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"{epoch}: loss {loss.item():.4f} entropy {entropy.item():.4f}")
