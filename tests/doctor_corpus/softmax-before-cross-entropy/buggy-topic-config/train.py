import torch

from config import CONFIG
from data import batches
from registry import build_loss, build_model


def main():
    torch.manual_seed(CONFIG["seed"])
    model = build_model(CONFIG["model"])
    loss_fn = build_loss(CONFIG["loss"])
    opt = torch.optim.SGD(model.parameters(), lr=CONFIG["lr"])
    for i, (bag, topic) in enumerate(batches(CONFIG["steps"])):
        scores = model(bag)
        loss = loss_fn(scores, topic)  # here
        opt.zero_grad()
        loss.backward()
        opt.step()
        print(i, round(loss.item(), 4))


if __name__ == "__main__":
    main()
