class Trainer:
    def epoch(self, data):
        kept = []
        for batch in data:
            self.optimizer.zero_grad()
            losses = self.model.calculate_loss(batch)
            loss = sum(losses) if isinstance(losses, tuple) else losses
            loss.backward()
            self.optimizer.step()
            kept.append(losses)  # finds loss-graph-retained certain
        return sum(kept).item()

    def numbers(self, data):
        kept = []
        for batch in data:
            self.optimizer.zero_grad()
            losses = self.model.calculate_loss(batch)
            loss = sum(losses) if isinstance(losses, tuple) else losses
            loss.backward()
            self.optimizer.step()
            kept.append(loss.item())
        return sum(kept)


class Record:
    def __init__(self):
        self.values = {}

    def open(self, name):
        self.values[name] = list()

    def __setitem__(self, name, value):
        self.values[name].append(value)  # finds loss-graph-retained certain


def train(task, optimizer, data):
    record = Record()
    record.open("loss")
    for batch in data:
        loss = task.evaluate(batch)
        record["loss"] = loss
        loss.backward()
        optimizer.step()


def minimise(function, optimizer, tensors, steps):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        losses.append(function(*tensors))  # finds loss-graph-retained certain
        losses[-1].backward()
        optimizer.step()
    return losses[-1]
