"""The squared error reconstructs pixels, and scores probabilities (Brier) in the evaluation only."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(313)
encoder = nn.Sequential(nn.Linear(25, 12), nn.ReLU())
decoder = nn.Sequential(nn.Linear(12, 25), nn.Sigmoid())
classifier = nn.Linear(12, 3)
modules = nn.ModuleList([encoder, decoder, classifier])
opt = torch.optim.Adam(modules.parameters(), lr=5e-3)
pixels = (torch.rand(64, 25) < 0.4).float()
kind = pixels[:, :3].argmax(1)

for epoch in range(5):
    code = encoder(pixels)
    reconstruction = F.mse_loss(decoder(code), pixels)
    loss = reconstruction + F.cross_entropy(classifier(code), kind)
    opt.zero_grad()
    loss.backward()
    opt.step()

with torch.no_grad():
    probs = F.softmax(classifier(encoder(pixels)), dim=1)
    brier = (probs - F.one_hot(kind, 3)).pow(2).sum(1).mean()
    print(f"reconstruction {reconstruction.item():.4f} Brier {brier.item():.4f}")
