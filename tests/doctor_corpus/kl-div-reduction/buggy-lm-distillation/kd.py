import torch.nn.functional as F


def kd_loss(student_logits, teacher_logits, temperature=2.0):
    """Hinton's loss between logits of shape (batch, time, vocabulary)."""
    log_q = F.log_softmax(student_logits / temperature, dim=-1)
    p = F.softmax(teacher_logits / temperature, dim=-1)
    return F.kl_div(log_q, p, reduction="batchmean") * temperature**2  # here
