import torch
import torch.nn as nn
import torch.optim as optim

from models import RNNClassifier


def train_model(model, data, epochs):
    loss_function = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for epoch in range(epochs):
        for tokens, label in data:
            model.zero_grad()
            scores = model(tokens)
            loss = loss_function(scores, label)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test_model(model, data):
    model.eval()
    hits, probabilities = 0, []
    for tokens, label in data:
        scores = model(tokens)
        probabilities.extend(scores.detach().numpy()[:, 1].round(5).tolist())
        hits += (scores.max(1)[1] == label).sum().item()
    return hits, probabilities


torch.manual_seed(2)
data = [(torch.randint(0, 20, (4, 5)), torch.randint(0, 2, (4,))) for _ in range(3)]
model = RNNClassifier(vocab_size=20, embed_dim=6, hidden_dim=8, num_classes=2)
print(model(data[0][0]).shape)
print(train_model(model, data, 2))
print(test_model(model, data))
