import torch
import torch.nn as nn
import torch.nn.functional as F


class TextCNN(nn.Module):
    def __init__(self, vocab_size=60, dim=16, num_classes=5):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim)
        self.conv = nn.Conv1d(dim, 24, 3)
        self.fc = nn.Linear(24, num_classes)

    def forward(self, tokens):
        x = self.embedding(tokens).transpose(1, 2)
        x = F.relu(self.conv(x)).amax(dim=2)
        return F.log_softmax(self.fc(x), dim=1)  # here


def train(model, docs, groups, steps=5):
    loss_fn = nn.CrossEntropyLoss()  # here
    opt = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(steps):
        picked = torch.randperm(len(docs))[:32]
        loss = loss_fn(model(docs[picked]), groups[picked])  # here
        opt.zero_grad()
        loss.backward()
        opt.step()
        print(f"step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    torch.manual_seed(4)
    docs = torch.randint(60, (100, 20))
    groups = docs[:, 3] % 5
    train(TextCNN(), docs, groups)
