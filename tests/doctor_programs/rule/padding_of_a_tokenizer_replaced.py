import torch.nn.functional as F


def features(examples, tokenizer, length):
    inputs = tokenizer(examples["source"], max_length=length, padding="max_length", truncation=True)
    targets = tokenizer(examples["target"], max_length=length, padding="max_length", truncation=True)
    labels = [[-100 if t == tokenizer.pad_token_id else t for t in row] for row in targets["input_ids"]]
    inputs["labels"] = labels
    return inputs


def own_loss(model, texts, tokenizer):
    ids = tokenizer(texts, padding=True, return_tensors="pt").input_ids
    logits = model(ids)[:, :-1]
    return F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], ignore_index=tokenizer.pad_token_id)
