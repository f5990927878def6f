from torch.utils.data import Dataset


class Rows(Dataset):
    def __init__(self, texts, tokenizer, length):
        self.rows = []
        for text in texts:
            text = tokenizer.clean(text)
            if text is not None:
                row = tokenizer(text, max_length=length, padding="max_length", truncation=True, return_tensors="pt")
                row["input_ids"] = row["input_ids"].squeeze(0)
                self.rows.append(row)

    def __getitem__(self, index):
        row = self.rows[index]
        return {"input_ids": row["input_ids"], "labels": row["input_ids"]}  # finds padding-not-ignored likely


class Unfilled(Dataset):
    def __init__(self, texts, tokenizer):
        self.rows = []
        for text in texts:
            if text is not None:
                self.rows.append(tokenizer(text, truncation=True))

    def __getitem__(self, index):
        return {"input_ids": self.rows[index]["input_ids"], "labels": self.rows[index]["input_ids"]}
