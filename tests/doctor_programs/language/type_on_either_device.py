import torch
from torch import nn

cuda = torch.cuda.is_available()
LongTensor = torch.cuda.LongTensor if cuda else torch.LongTensor
FloatTensor = torch.cuda.FloatTensor if cuda else torch.FloatTensor
head = nn.Linear(4, 3)
for x, y in loader:
    y = y.float()
    nn.CrossEntropyLoss()(head(x), y.type(LongTensor)).backward()
    nn.CrossEntropyLoss()(head(x), torch.argmax(y, 1).type(FloatTensor)).backward()  # finds float-class-index likely
    nn.CrossEntropyLoss()(head(x), torch.argmax(y, 1).float().type(LongTensor)).backward()
