"""A Sequential whose layers are put in one by one; model and loss are called by forward."""

import torch


def build_model(inputs, outputs):
    model = torch.nn.Sequential()
    model.add_module("linear_1", torch.nn.Linear(inputs, 8))
    model.add_module("relu_1", torch.nn.ReLU())
    model.add_module("linear_2", torch.nn.Linear(8, outputs))
    model.add_module("softmax", torch.nn.Softmax(dim=1))
    return model


def train(model, loss, optimizer, x, y):
    optimizer.zero_grad()
    fx = model.forward(x)
    output = loss.forward(fx, y)
    output.backward()
    optimizer.step()
    return output.item()


def predict(model, x):
    return model.forward(x).detach().numpy().argmax(axis=1)


torch.manual_seed(0)
x, y = torch.randn(32, 5), torch.randint(0, 3, (32,))
model = build_model(5, 3)
loss = torch.nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for _ in range(4):
    print(f"{train(model, loss, optimizer, x, y):.5f} {predict(model, x).mean():.4f}")
