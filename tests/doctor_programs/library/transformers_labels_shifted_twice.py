from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("gpt2")
for ids in loader:
    out = model(input_ids=ids[:, :-1], labels=ids[:, 1:])  # finds causal-shift certain
    out.loss.backward()
