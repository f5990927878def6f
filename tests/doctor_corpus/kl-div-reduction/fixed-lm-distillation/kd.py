import torch.nn.functional as F


def kd_loss(student_logits, teacher_logits, temperature=2.0):
    """Hinton's loss between logits of shape (batch, time, vocabulary)."""
    student_logits = student_logits.flatten(0, 1)
    teacher_logits = teacher_logits.flatten(0, 1)
    log_q = F.log_softmax(student_logits / temperature, dim=-1)
    p = F.softmax(teacher_logits / temperature, dim=-1)
    return F.kl_div(log_q, p, reduction="batchmean") * temperature**2
