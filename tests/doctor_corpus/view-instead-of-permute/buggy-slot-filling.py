import torch
import torch.nn.functional as F
from torch import nn


class LitSlotFiller(nn.Module):
    def __init__(self, vocab=70, slots=6, dim=20):
        super().__init__()
        self.slots = slots
        self.embedding = nn.Embedding(vocab, dim)
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.head = nn.Linear(dim, slots)

    def forward(self, utterance):
        states, _ = self.gru(self.embedding(utterance))
        return self.head(states)

    def training_step(self, batch, _):
        utterance, slot = batch
        logits = self(utterance)
        n, t = utterance.shape
        logits = logits.reshape(n, self.slots, t)  # here
        return F.cross_entropy(logits, slot)  # here

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def run(module, batches):
    optimizer = module.configure_optimizers()
    for idx, batch in enumerate(batches):
        loss = module.training_step(batch, idx)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"batch {idx} train_loss {loss.item():.4f}")


if __name__ == "__main__":
    torch.manual_seed(92)
    utterances = torch.randint(70, (80, 8))
    slots = utterances // 12
    run(LitSlotFiller(), list(zip(utterances.split(16), slots.split(16))))
