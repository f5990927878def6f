import copy

import torch
from torch.utils.data import Dataset


class Instructions(Dataset):
    def __init__(self, rows, tokenizer, length):
        self.rows, self.tokenizer, self.length = rows, tokenizer, length

    def __getitem__(self, index):
        prompt = torch.tensor(self.tokenizer.encode(self.rows[index]["prompt"]), dtype=torch.int64)
        whole = torch.tensor(self.tokenizer.encode(self.rows[index]["text"]), dtype=torch.int64)
        labels = copy.deepcopy(whole)
        labels[: len(prompt)] = -1
        known = labels.ge(0)
        labels[~known] = 0
        return {"input_ids": whole, "labels": labels}  # finds padding-not-ignored likely


class Answers(Instructions):
    def __getitem__(self, index):
        whole = torch.tensor(self.tokenizer.encode(self.rows[index]["text"]), dtype=torch.int64)
        labels = copy.deepcopy(whole)
        return {"input_ids": whole, "labels": labels}
