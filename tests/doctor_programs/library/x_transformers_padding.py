import torch
from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper


class Wrapper(AutoregressiveWrapper):
    def sample(self, rows):
        return rows


PAD = 0
rows = torch.randint(0, 10, (2, 8))
net = TransformerWrapper(num_tokens=10, max_seq_len=8, attn_layers=Decoder(dim=4, depth=1))
model = Wrapper(net, pad_value=PAD)  # finds padding-not-ignored likely
right = AutoregressiveWrapper(net, pad_value=PAD, ignore_index=PAD)
right = AutoregressiveWrapper(net)
loss = right(rows)
