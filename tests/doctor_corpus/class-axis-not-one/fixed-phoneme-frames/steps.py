import torch.nn.functional as F


def train_step(net, optimizer, audio, phonemes):
    net.train()
    predicted = net(audio)
    loss = F.cross_entropy(predicted.permute(0, 2, 1), phonemes)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
