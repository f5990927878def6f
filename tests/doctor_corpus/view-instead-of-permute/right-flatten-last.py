"""The classes are last, so that view(-1, C) keeps rows together; pixels are permuted first."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(93)
VOCAB, LABELS = 40, 4

text_net = nn.Sequential(nn.Embedding(VOCAB, 16), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, LABELS))
image_net = nn.Conv2d(2, LABELS, 3, padding=1)
optimizer = torch.optim.Adam([*text_net.parameters(), *image_net.parameters()], lr=0.02)

for step in range(5):
    text = torch.randint(VOCAB, (8, 6))
    image = torch.randn(8, 2, 5, 5)
    token_labels = text % LABELS
    pixel_labels = (image[:, 0] > 0).long() + 2 * (image[:, 1] > 0).long()

    token_loss = F.cross_entropy(text_net(text).view(-1, LABELS), token_labels.view(-1))
    maps = image_net(image).permute(0, 2, 3, 1).contiguous().view(-1, LABELS)
    pixel_loss = F.cross_entropy(maps, pixel_labels.view(-1))
    loss = token_loss + pixel_loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, token_loss.item(), pixel_loss.item())
