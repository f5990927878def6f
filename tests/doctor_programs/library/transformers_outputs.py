import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast


class Body(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, self.embed, self.mix = config, nn.Embedding(50, 8), nn.Linear(8, 8)

    def forward(self, tokens, return_dict=None):
        hidden = self.mix(self.embed(tokens))
        if not (self.config.use_return_dict if return_dict is None else return_dict):
            return tuple(value for value in [hidden, None] if value is not None)
        return BaseModelOutputWithPast(last_hidden_state=hidden)


class Model(nn.Module):
    def __init__(self, config, shift):
        super().__init__()
        self.body, self.head, self.shift = Body(config), nn.Linear(8, 50), shift

    def forward(self, tokens, labels):
        logits = self.head(self.body(tokens)[0])
        if self.shift:
            loss = nn.CrossEntropyLoss()(logits[:, :-1].reshape(-1, 50), labels[:, 1:].reshape(-1))
        else:
            loss = nn.CrossEntropyLoss()(logits.view(-1, 50), labels.view(-1))  # finds causal-shift certain
        return CausalLMOutputWithPast(loss=loss, logits=logits)


for batch in loader:
    tokens = batch["tokens"]
    Model(config, True)(tokens, tokens).loss.backward()
    Model(config, False)(tokens, tokens).loss.backward()
