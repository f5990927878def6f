import torch.nn.functional as F


def train_step(net, optimizer, audio, phonemes):
    net.train()
    predicted = net(audio)
    loss = F.cross_entropy(predicted, phonemes)  # here
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
