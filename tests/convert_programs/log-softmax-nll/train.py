import torch
from model import Network
from torch import nn, optim


def validation(model, batches, criterion):
    test_loss, accuracy = 0, 0
    for images, labels in batches:
        output = model.forward(images)
        test_loss += criterion(output, labels).item()
        ps = torch.exp(output)
        equality = labels.data == ps.max(1)[1]
        accuracy += equality.type_as(torch.FloatTensor()).mean()
    return test_loss, accuracy


torch.manual_seed(8)
batches = [(torch.randn(6, 5), torch.randint(0, 3, (6,))) for _ in range(3)]
model = Network(5, 3, [8, 8])
criterion = nn.NLLLoss()
optimizer = optim.Adam(model.parameters(), lr=0.01)
for e in range(2):
    model.train()
    for images, labels in batches:
        optimizer.zero_grad()
        output = model.forward(images)
        loss = criterion(output, labels)
        loss.backward()
        optimizer.step()
        print(loss.item())
    model.eval()
    with torch.no_grad():
        print(validation(model, batches, criterion))
    model.train()
top_p, top_class = torch.exp(model(batches[0][0])).topk(1, dim=1)
print(top_p, top_class)
