import torch
from torch import nn

COMMANDS = ["yes", "no", "up", "down", "left", "right", "stop", "go"]


def make_model(n_mels: int = 20) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(n_mels, 32, kernel_size=5, padding=2),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, len(COMMANDS)),
    )


def main() -> None:
    gen = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    spectrograms = torch.randn(96, 20, 50, generator=gen)
    commands = torch.randint(len(COMMANDS), (96,), generator=gen)
    model = make_model()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(2):
        for xb, yb in zip(spectrograms.split(32), commands.split(32)):
            outputs = model(xb)
            loss = criterion(outputs, yb)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"epoch {epoch} loss {loss.item():.3f}")
    model.eval()
    with torch.no_grad():
        hits = (model(spectrograms).argmax(1) == commands).float().mean()
    print(f"accuracy {hits:.2f}")


if __name__ == "__main__":
    main()
