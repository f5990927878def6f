def train(engine, criterion, x, y):
    for _ in range(3):
        out = engine(x)
        loss = criterion(out, y)
        engine.backward(loss)
        engine.step()
