"""Log-probabilities and entropies of a policy whose head is sharded, as verl and TRL need them: no logits are gathered.

torchrun --nproc-per-node 2 examples/distributed_logprobs.py
"""

import os

import torch
import torch.distributed as dist
from torch import Tensor

import crossentropy.functional as F
from crossentropy import TokenStatistics
from crossentropy.distributed import vocab_parallel_token_statistics

VOCABULARY, WIDTH, SEQUENCES, LENGTH = 1001, 64, 4, 12


def policy_loss(statistics: TokenStatistics, old: Tensor, advantage: Tensor, response: Tensor) -> Tensor:
    """PPO's clipped objective, with a bonus for entropy, over the tokens of responses."""
    log_prob, entropy = statistics.log_prob, statistics.entropy
    assert log_prob is not None
    ratio = (log_prob - old).exp()
    gain = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    return -((gain + 0.01 * entropy) * response).sum() / response.sum()


def main() -> None:
    """Compare a step's statistics and gradients with those of one process that has the whole head."""
    gpu = torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo")

    torch.manual_seed(0)  # the same on all processes
    hidden = torch.randn(SEQUENCES, LENGTH, WIDTH).to(device).requires_grad_()
    head = torch.randn(VOCABULARY, WIDTH).div(8).to(device).requires_grad_()
    actions = torch.randint(VOCABULARY, (SEQUENCES, LENGTH)).to(device)
    advantage = torch.randn(SEQUENCES, 1).to(device)
    response = (torch.arange(LENGTH) >= torch.randint(0, LENGTH, (SEQUENCES, 1))).to(device)

    exact = F.token_statistics(hidden, actions, linear_weight=head)
    assert exact.log_prob is not None
    old = exact.log_prob.detach() + 0.1 * torch.randn(SEQUENCES, LENGTH).to(device)
    expected = torch.autograd.grad(policy_loss(exact, old, advantage, response), (hidden, head))

    part = head.detach().chunk(dist.get_world_size())[dist.get_rank()].clone().requires_grad_()
    found = vocab_parallel_token_statistics(hidden, actions, linear_weight=part)  # the one line
    gradients = torch.autograd.grad(policy_loss(found, old, advantage, response), (hidden, part))

    assert found.log_prob is not None
    torch.testing.assert_close(found.log_prob, exact.log_prob)
    torch.testing.assert_close(found.entropy, exact.entropy)
    torch.testing.assert_close(gradients[0], expected[0])
    torch.testing.assert_close(gradients[1], expected[1].chunk(dist.get_world_size())[dist.get_rank()])
    if dist.get_rank() == 0:
        log_prob, entropy = found.log_prob.detach()[response], found.entropy.detach()[response]
        difference = (log_prob - exact.log_prob.detach()[response]).abs().max()
        print(
            f"{response.sum()} tokens: log-probability {log_prob.mean():.3f}, entropy {entropy.mean():.3f} on average, "
            f"as in one process to {difference:.1e}; so are the gradients"
        )
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
