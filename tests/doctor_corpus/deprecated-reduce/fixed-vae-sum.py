import torch
import torch.nn.functional as F
from torch import nn


class VAE(nn.Module):
    def __init__(self, pixels=36, latent=3):
        super().__init__()
        self.enc = nn.Linear(pixels, 24)
        self.mu = nn.Linear(24, latent)
        self.logvar = nn.Linear(24, latent)
        self.dec = nn.Sequential(nn.Linear(latent, 24), nn.ReLU(), nn.Linear(24, pixels), nn.Sigmoid())

    def forward(self, x):
        h = self.enc(x).relu()
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.dec(z), mu, logvar


def elbo_loss(recon, x, mu, logvar):
    bce = F.binary_cross_entropy(recon, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


torch.manual_seed(331)
digits = (torch.rand(48, 36) < 0.3).float()
vae = VAE()
optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
for batch in digits.split(12):
    optimizer.zero_grad()
    recon, mu, logvar = vae(batch)
    loss = elbo_loss(recon, batch, mu, logvar)
    loss.backward()
    optimizer.step()
    print(f"{loss.item() / len(batch):.3f}")
