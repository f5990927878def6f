import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)).to("cuda")
criterion = nn.CrossEntropyLoss()
scaler = torch.cuda.amp.GradScaler()
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for x, y in loader:
    with torch.cuda.amp.autocast():
        loss = criterion(model(x.cuda()), y.cuda())  # finds softmax-before-cross-entropy certain
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
