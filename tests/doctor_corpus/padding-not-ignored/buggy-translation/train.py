import torch

from seq2seq import Seq2Seq, sequence_loss
from vocab import PAD, pairs

torch.manual_seed(192)
model = Seq2Seq(vocab_size=30, pad=PAD)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for step in range(5):
    source, target = pairs(16, seed=step)
    logits = model(source, target[:, :-1])
    loss = sequence_loss(logits, target[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
