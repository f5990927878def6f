import torch
import torch.nn as nn
import torch.nn.functional as F


class Distiller:
    def __init__(self, teacher, student, temperature=3.0, alpha=0.7, lr=1e-2):
        self.teacher = teacher.eval()
        self.student = student
        self.T = temperature
        self.alpha = alpha
        self.optimizer = torch.optim.Adam(student.parameters(), lr=lr)

    def loss(self, x, y):
        with torch.no_grad():
            teacher_logits = self.teacher(x)
        student_logits = self.student(x)
        soft_targets = F.softmax(teacher_logits / self.T, dim=-1)
        soft_student = F.softmax(student_logits / self.T, dim=-1)  # here
        kd = F.kl_div(soft_student, soft_targets, reduction="batchmean") * self.T**2  # here
        ce = F.cross_entropy(student_logits, y)
        return self.alpha * kd + (1 - self.alpha) * ce

    def fit(self, batches):
        for x, y in batches:
            loss = self.loss(x, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            print(f"{loss.item():.4f}")


torch.manual_seed(241)
x = torch.randn(80, 10)
y = x[:, :5].argmax(1)
teacher = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 5))
student = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 5))
Distiller(teacher, student).fit(zip(x.split(20), y.split(20)))
