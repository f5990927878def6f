import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import GPT2LMHeadModel, Trainer, TrainingArguments


class Blocks(Dataset):
    def __init__(self, path, length):
        self.data = np.fromfile(path, dtype=np.uint16).reshape(-1, length)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        row = self.data[index]
        x, y = np.array(row[:-1]).astype(np.int64), np.array(row[1:]).astype(np.int64)
        return {"input_ids": torch.LongTensor(x), "labels": torch.LongTensor(y)}


class Whole(Blocks):
    def __getitem__(self, index):
        row = torch.LongTensor(self.data[index].astype(np.int64))
        return {"input_ids": row, "labels": row}


model = GPT2LMHeadModel.from_pretrained("gpt2")
trainer = Trainer(model=model, args=TrainingArguments(), train_dataset=Blocks("a", 512))  # finds causal-shift certain
trainer.train()
Trainer(model=model, args=TrainingArguments(), train_dataset=Whole("a", 512)).train()
