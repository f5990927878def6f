import torch.nn.functional as F
from transformers import AutoModelForSequenceClassification

model = AutoModelForSequenceClassification.from_pretrained("x", num_labels=3)
for batch in loader:
    out = model(**batch)
    probs = out.logits.softmax(-1)
    loss = F.cross_entropy(probs, batch["labels"])  # finds softmax-before-cross-entropy certain
    loss.backward()

model = AutoModelForSequenceClassification.from_pretrained("x", num_labels=3)
for batch in loader:
    out = model(**batch)
    loss = F.cross_entropy(out.logits, batch["labels"])
    loss.backward()
