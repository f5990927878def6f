"""Both arguments are log-probabilities, with log_target=True; softmax serves the sampling only."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(243)
reference = nn.Linear(6, 4)
policy = nn.Linear(6, 4)
policy.load_state_dict(reference.state_dict())
opt = torch.optim.SGD(policy.parameters(), lr=0.5)

for step in range(5):
    prompts = torch.randn(32, 6)
    logits = policy(prompts)
    with torch.no_grad():
        reference_logp = F.log_softmax(reference(prompts), dim=-1)
        sampled = torch.multinomial(F.softmax(logits, dim=-1), 1)
    logp = F.log_softmax(logits, dim=-1)
    reward = (sampled == 2).float()
    objective = (logp.gather(1, sampled) * (reward - reward.mean())).mean()
    penalty = F.kl_div(logp, reference_logp, reduction="batchmean", log_target=True)
    loss = 0.1 * penalty - objective
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(step, penalty.item())
