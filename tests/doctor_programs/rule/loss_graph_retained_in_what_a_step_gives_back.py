def train(loader, module, optimizer):
    outputs = []
    for number, batch in enumerate(loader):
        optimizer.zero_grad()
        output = module.training_step(batch, number)
        output["loss"].backward()
        optimizer.step()
        outputs.append(output)  # finds loss-graph-retained certain
    return module.training_epoch_end(outputs)


def detached(loader, module, optimizer):
    outputs = []
    for number, batch in enumerate(loader):
        optimizer.zero_grad()
        output = module.training_step(batch, number)
        output["loss"].backward()
        output["loss"] = output["loss"].detach()
        optimizer.step()
        outputs.append(output)
    return outputs
