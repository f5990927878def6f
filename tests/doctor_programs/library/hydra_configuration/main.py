import hydra
import torch
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    model = hydra.utils.instantiate(cfg.model)
    criterion = hydra.utils.instantiate(cfg.loss, reduction="mean")
    optimizer = torch.optim.SGD(model.parameters(), lr=cfg.lr)
    for rows, labels in [(torch.randn(2, 3), torch.randint(0, 4, (2,)))]:
        loss = criterion(model(rows), labels)  # finds softmax-before-nll likely
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()
