import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

PAD = 0
rows = pad_sequence([torch.randint(1, 9, (n,)) for n in (5, 3)], batch_first=True, padding_value=PAD)
lengths = torch.tensor([4, 2])
embedding, head = nn.Embedding(9, 6, padding_idx=PAD), nn.Linear(6, 9)
logits = head(embedding(rows[:, :-1]))
packed = pack_padded_sequence(logits, lengths, batch_first=True).data
labels = pack_padded_sequence(rows[:, 1:], lengths, batch_first=True).data
F.cross_entropy(packed, labels).backward()
F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).backward()  # finds padding-not-ignored certain
