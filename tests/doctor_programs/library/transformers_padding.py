from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")
batch = tokenizer(["a"], padding=True, return_tensors="pt")
labels = batch["input_ids"].clone()
out = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels)
out.loss.backward()
