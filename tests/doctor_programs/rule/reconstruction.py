import torch
import torch.nn.functional as F
from torch import nn

encoder, decoder = nn.Linear(8, 4), nn.Linear(2, 8)
x = torch.rand(5, 8)
mean, log_variance = encoder(x).chunk(2, -1)
z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
reconstruction = torch.sigmoid(decoder(z))
loss = (
    F.binary_cross_entropy(reconstruction, x, reduction="sum")
    - 0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp()).sum()
)
loss.backward()
