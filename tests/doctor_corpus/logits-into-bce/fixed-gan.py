import torch
import torch.nn as nn

torch.manual_seed(61)
LATENT = 4

generator = nn.Sequential(nn.Linear(LATENT, 16), nn.ReLU(), nn.Linear(16, 2))
discriminator = nn.Sequential(
    nn.Linear(2, 16),
    nn.LeakyReLU(0.2),
    nn.Linear(16, 1),
    nn.Sigmoid(),
)
adversarial = nn.BCELoss()
g_opt = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
d_opt = torch.optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))


def real_points(n):
    angle = torch.rand(n) * 6.2832
    return torch.stack([angle.cos(), angle.sin()], dim=1)


for step in range(5):
    real = real_points(32)
    fake = generator(torch.randn(32, LATENT))
    d_loss = adversarial(discriminator(real), torch.ones(32, 1))
    d_loss = d_loss + adversarial(discriminator(fake.detach()), torch.zeros(32, 1))
    d_opt.zero_grad()
    d_loss.backward()
    d_opt.step()

    g_loss = adversarial(discriminator(fake), torch.ones(32, 1))
    g_opt.zero_grad()
    g_loss.backward()
    g_opt.step()
    print(step, d_loss.item(), g_loss.item())
