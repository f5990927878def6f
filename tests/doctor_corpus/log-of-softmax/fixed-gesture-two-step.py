import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(31)


class GestureNet(nn.Module):
    def __init__(self, joints=21, gestures=8):
        super().__init__()
        self.lstm = nn.LSTM(joints * 2, 32, batch_first=True)
        self.linear = nn.Linear(32, gestures)

    def forward(self, frames):
        h, _ = self.lstm(frames)
        return self.linear(h[:, -1])


frames = torch.randn(40, 10, 42)
gesture = torch.randint(8, (40,))
net = GestureNet()
loss_fn = nn.NLLLoss()
opt = torch.optim.RMSprop(net.parameters(), lr=1e-3)

for step in range(5):
    logits = net(frames)
    loss = loss_fn(F.log_softmax(logits, dim=1), gesture)
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, loss.item())
