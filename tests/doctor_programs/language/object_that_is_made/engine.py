class Trainer:
    def __init__(self, model, criterion, optimizer):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer

    def step(self, rows, labels):
        loss = self.criterion(self.model(rows), labels)  # finds log-softmax-before-cross-entropy info
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
