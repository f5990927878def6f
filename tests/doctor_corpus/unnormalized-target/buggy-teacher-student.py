import torch
import torch.nn as nn
import torch.nn.functional as F


def net(width):
    return nn.Sequential(nn.Linear(10, width), nn.ReLU(), nn.Linear(width, 6))


def distill(teacher, student, inputs, steps=5):
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    teacher.eval()
    for step in range(steps):
        with torch.no_grad():
            teacher_out = teacher(inputs)
        student_out = student(inputs)
        loss = F.cross_entropy(student_out, teacher_out)  # here
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"distill {step}: {loss.item():.4f}")
    return student


torch.manual_seed(151)
distill(net(64), net(8), torch.randn(48, 10))
