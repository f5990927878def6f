import torch

from losses import comment_loss
from model import CommentEncoder

torch.manual_seed(15)
comments = torch.randint(1, 80, (64, 16))
tags = torch.stack([(comments == k).any(1) for k in (3, 7, 11, 20)], dim=1).float()
encoder = CommentEncoder(80, tags.shape[1])
optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-2)
for epoch in range(2):
    for c, t in zip(comments.split(32), tags.split(32)):
        loss = comment_loss(encoder(c), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"epoch {epoch}: {loss.item():.4f}")
