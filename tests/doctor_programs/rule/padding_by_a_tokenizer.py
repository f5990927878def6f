from transformers import AutoModelForCausalLM, AutoTokenizer


def features(examples, tokenizer, length):
    inputs = tokenizer(examples["source"], max_length=length, padding="max_length", truncation=True)
    targets = tokenizer(examples["target"], max_length=length, padding="max_length", truncation=True)
    inputs["labels"] = targets["input_ids"]  # finds padding-not-ignored likely
    return inputs


def rows(texts):
    tokenizer = AutoTokenizer.from_pretrained("gpt2")
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    return {
        "input_ids": encoded.input_ids,
        "labels": encoded.input_ids.clone(),  # finds padding-not-ignored likely
    }


def loss(texts):
    tokenizer, model = AutoTokenizer.from_pretrained("gpt2"), AutoModelForCausalLM.from_pretrained("gpt2")
    encoded = tokenizer.batch_encode_plus(texts, padding="longest", return_tensors="pt")
    return model(encoded.input_ids, labels=encoded.input_ids).loss  # finds padding-not-ignored likely


def unfilled(texts, tokenizer):
    encoded = tokenizer(texts, truncation=True)
    return {"input_ids": encoded.input_ids, "labels": encoded.input_ids}


def classes(texts, tokenizer, tags):
    encoded = tokenizer(texts, padding=True, truncation=True)
    encoded["labels"] = tags
    return encoded
