import torch
import torch.nn.functional as F
from torch import nn

cell, head = nn.LSTMCell(4, 4), nn.Linear(4, 7)
x, y = torch.randn(5, 3, 4), torch.randint(0, 7, (5, 3))
state, probabilities, logits, logs = None, torch.zeros(5, 3, 7), torch.zeros(5, 3, 7), torch.zeros(3, 5, 7)
for t in range(5):
    state = cell(x[t], state)
    logits[t] = head(state[0])
    probabilities[t] = F.softmax(head(state[0]), dim=1)
    logs[:, t] = F.log_softmax(head(state[0]), dim=1)
F.cross_entropy(logits.view(-1, 7), y.view(-1)).backward()
F.cross_entropy(probabilities.view(-1, 7), y.view(-1)).backward()  # finds softmax-before-cross-entropy likely
F.nll_loss(logs.view(-1, 7), y.T.reshape(-1)).backward()
