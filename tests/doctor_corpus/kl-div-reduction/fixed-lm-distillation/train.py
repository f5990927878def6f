import torch

from kd import kd_loss
from models import make_lm

torch.manual_seed(252)
VOCAB = 30
teacher = make_lm(VOCAB, 48).eval()
student = make_lm(VOCAB, 12)
optimizer = torch.optim.AdamW(student.parameters(), lr=5e-3)
for step in range(5):
    tokens = torch.randint(VOCAB, (8, 10))
    with torch.no_grad():
        teacher_logits = teacher(tokens)
    loss = kd_loss(student(tokens), teacher_logits)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step} kd {loss.item():.4f}")
