import torch
from torch import nn

discriminator = nn.Sequential(nn.Linear(4, 1))
generator = nn.Linear(2, 4)
bce = nn.BCEWithLogitsLoss()
discriminator_optimizer = torch.optim.Adam(discriminator.parameters())
generator_optimizer = torch.optim.Adam(generator.parameters())
for i in range(3):
    real = torch.randn(8, 4)
    fake = generator(torch.randn(8, 2))
    discriminator_loss = bce(discriminator(real), torch.ones(8, 1)) + bce(
        discriminator(fake.detach()), torch.zeros(8, 1)
    )
    discriminator_optimizer.zero_grad()
    discriminator_loss.backward()
    discriminator_optimizer.step()
    generator_loss = bce(discriminator(fake), torch.ones(8, 1))
    generator_optimizer.zero_grad()
    generator_loss.backward()
    generator_optimizer.step()
