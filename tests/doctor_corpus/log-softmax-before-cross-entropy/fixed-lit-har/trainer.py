class Trainer:
    def __init__(self, max_epochs):
        self.max_epochs = max_epochs

    def fit(self, module, loader):
        optimizer = module.configure_optimizers()
        module.train()
        for epoch in range(self.max_epochs):
            for idx, batch in enumerate(loader):
                out = module.training_step(batch, idx)
                optimizer.zero_grad()
                out["loss"].backward()
                optimizer.step()
                print(epoch, idx, {k: round(v.item(), 4) for k, v in out.items()})
