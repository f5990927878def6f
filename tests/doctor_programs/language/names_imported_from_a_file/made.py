from torch import nn

criterion = nn.CrossEntropyLoss()
model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
